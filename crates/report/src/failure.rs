// SPDX-License-Identifier: GPL-2.0
//! What a command ends with: the exit statuses, and the one error type that carries them.
//!
//! Every refusal names the object, the reason and the remedy, in this order. Errors without a
//! [`Failure`] in their chain are plain failures and end with status 1.

use std::fmt;

/// Exit statuses of the tool; scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// A test, or a step, failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Something is missing on this machine.
    Missing = 3,
    /// Refused before harm was done: wrong kernel, wrong compiler, incomplete symbols.
    Refused = 4,
    /// The kernel refused the module: vermagic, unknown symbol, signature.
    ModuleRefused = 10,
    /// The kernel printed a warning.
    KernelWarning = 20,
    /// Oops, BUG, KASAN, UBSAN.
    Oops = 21,
    /// Lockdep found a locking error.
    Lockdep = 22,
    /// Hung task, soft lockup, RCU stall.
    Hung = 23,
    /// The module did not unload, or memory leaked.
    Leak = 24,
    /// The kernel panicked.
    Panic = 25,
    /// The guest never came up.
    NeverUp = 30,
    /// The time limit was reached.
    TimeLimit = 31,
    /// QEMU itself ended.
    QemuDied = 32,
    /// Skipped; the output says why.
    Skipped = 77,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Missing,
        Self::Refused,
        Self::ModuleRefused,
        Self::KernelWarning,
        Self::Oops,
        Self::Lockdep,
        Self::Hung,
        Self::Leak,
        Self::Panic,
        Self::NeverUp,
        Self::TimeLimit,
        Self::QemuDied,
        Self::Skipped,
    ];

    /// The one that a status is; a status of another program is [`Exit::Failed`].
    pub fn of_status(status: u8) -> Self {
        Self::ALL.into_iter().find(|exit| *exit as u8 == status).unwrap_or(Self::Failed)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that says what it concerns, why, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The status the program ends with.
    pub exit: Exit,
    /// What it concerns: a release, a file, a program.
    pub object: String,
    /// Why it cannot be.
    pub reason: String,
    /// What the user can do about it, one command where there is one.
    pub remedy: Option<String>,
    /// The program that is missing, where that is what it is about; the caller that knows packages
    /// adds the remedy.
    pub program: Option<String>,
}

impl Failure {
    /// A failure that ends the program with `exit`.
    pub fn new(exit: Exit, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { exit, object: object.into(), reason: reason.into(), remedy: None, program: None }
    }

    /// Refused, before harm is done.
    pub fn refused(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Exit::Refused, object, reason)
    }

    /// Something that this machine lacks.
    pub fn missing(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Exit::Missing, object, reason)
    }

    /// A program that is not on this machine.
    pub fn no_program(name: &str) -> Self {
        let failure = Self::missing(format!("`{name}`"), "no such program on this machine");
        Self { program: Some(name.to_owned()), ..failure }
    }

    /// A command line that makes no sense.
    pub fn usage(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Exit::Usage, object, reason)
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.reason)
    }
}

impl std::error::Error for Failure {}

/// The exit status an error stands for: that of the outermost [`Failure`] in its chain, else
/// [`Exit::Failed`].
pub fn exit_of(error: &anyhow::Error) -> Exit {
    find(error).map_or(Exit::Failed, |failure| failure.exit)
}

/// The remedy an error carries, if any.
pub fn remedy_of(error: &anyhow::Error) -> Option<&str> {
    find(error)?.remedy.as_deref()
}

/// The program that is missing, if that is what an error is about.
pub fn program_of(error: &anyhow::Error) -> Option<&str> {
    find(error)?.program.as_deref()
}

fn find(error: &anyhow::Error) -> Option<&Failure> {
    // The first sees failures that were added as context, the second those that another error
    // holds.
    error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn status_and_remedy_survive_added_context() {
        let error = Err::<(), _>(Failure::refused("7.0", "no Rust").remedy("choose another"))
            .context("preparing")
            .unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert_eq!(remedy_of(&error), Some("choose another"));
        assert_eq!(format!("{error:#}"), "preparing: 7.0: no Rust");
    }

    #[test]
    fn an_error_without_failure_is_status_one() {
        assert_eq!(exit_of(&anyhow::anyhow!("x")), Exit::Failed);
    }
}
