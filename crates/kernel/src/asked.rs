// SPDX-License-Identifier: GPL-2.0
//! Which kernel the user asks for: by its release, or as what it is to this machine. What that is,
//! is found out here and nowhere else.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use camino::Utf8Path;

use crate::context::Context;
use crate::distribution::known::{self, has_archive};
use crate::installed::adopt::{self, SurveyedKernel};
use crate::installed::layout;
use crate::installed::system::SystemRoot;
use crate::kdir::Kdir;
use crate::prepare::Rust;
use kmodfile::release::{NotARelease, Release};
use report::failure::{Exit, Failure};

/// A kernel as the user names it.
///
/// ```
/// use kernel::asked::AskedKernel;
///
/// let running: AskedKernel = "running".parse().unwrap();
/// assert_eq!(running, AskedKernel::Running);
/// assert_eq!("6.12.9-a".parse::<AskedKernel>().unwrap().to_string(), "6.12.9-a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskedKernel {
    /// The one of this release, wherever it is from.
    Release(Release),
    /// The newest installed one that can be built for.
    Installed,
    /// The one that this machine runs.
    Running,
}

impl FromStr for AskedKernel {
    type Err = NotARelease;

    fn from_str(text: &str) -> Result<Self, NotARelease> {
        match text {
            "installed" => Ok(Self::Installed),
            "running" => Ok(Self::Running),
            release => release.parse().map(Self::Release),
        }
    }
}

impl fmt::Display for AskedKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(release) => f.pad(release.as_str()),
            Self::Installed => f.pad("installed"),
            Self::Running => f.pad("running"),
        }
    }
}

impl AskedKernel {
    /// Its release, if that is how it is named; else it is one of this machine's.
    pub fn release(&self) -> Option<&Release> {
        match self {
            Self::Release(release) => Some(release),
            _ => None,
        }
    }

    /// The release that is meant. A kernel of this machine is ready to be built for afterwards,
    /// but in a dry run.
    ///
    /// # Errors
    ///
    /// What is in the way of building for it.
    pub fn resolve(&self, context: &Context, rust: Rust) -> Result<Release> {
        match self {
            Self::Release(release) => {
                of_release(context, release, rust)?;
                Ok(release.clone())
            }
            Self::Running => running(context, rust),
            Self::Installed => newest(context, rust),
        }
    }

    /// The release that is meant in the system whose `/` is `root`, be there what may of it.
    ///
    /// # Errors
    ///
    /// Missing, if there is none.
    pub fn named(&self, context: &Context, root: &Utf8Path) -> Result<Release> {
        match self {
            Self::Release(release) => Ok(release.clone()),
            Self::Running => adopt::running(&context.report),
            Self::Installed => {
                let kernels = layout::all(&SystemRoot::open(root)?, None);
                let newest = kernels.into_iter().find(|kernel| kernel.modules.is_some());
                let none =
                    || Failure::missing("--kernel installed", format!("no kernel is installed in {root}"));
                Ok(newest.ok_or_else(none)?.release)
            }
        }
    }

    /// Makes sure of the programs that a distribution's archive takes, where one of `asked` may be
    /// from there; so may the default.
    ///
    /// # Errors
    ///
    /// They are missing and cannot be installed.
    pub fn ensure_programs(asked: &[Self], context: &Context) -> Result<()> {
        let local = |asked: &Self| match asked {
            Self::Release(release) => {
                Kdir::open(&context.cache, release).is_some_and(|kdir| kdir.is_installed()) || !has_archive()
            }
            _ => true,
        };
        if !asked.is_empty() && asked.iter().all(local) {
            return Ok(());
        }
        known::ensure_programs(context)
    }
}

/// A named kernel that is installed and was taken as it is, is looked at again: its packages may
/// have been replaced. Where there is no archive, one that is installed is meant.
fn of_release(context: &Context, release: &Release, rust: Rust) -> Result<()> {
    let prepared = Kdir::open(&context.cache, release);
    let again = prepared.is_none() && Kdir::was_installed(&context.cache, release);
    if !again && (prepared.is_some() || has_archive()) {
        return Ok(());
    }
    let kernels = adopt::here(&context.report)?;
    match kernels.iter().find(|one| one.kernel.release == *release) {
        Some(one) => take(context, one, rust),
        None => Ok(()),
    }
}

fn running(context: &Context, rust: Rust) -> Result<Release> {
    let kernels = adopt::here(&context.report)?;
    let running = kernels.iter().find(|one| one.kernel.running);
    let running = running.ok_or_else(|| Failure::missing("--kernel running", "uname -r names no kernel"))?;
    let release = &running.kernel.release;
    if !is_prepared(context, release, rust) {
        take(context, running, rust)?;
    }
    Ok(release.clone())
}

/// The newest installed kernel that is prepared, or that can be built for as it is.
fn newest(context: &Context, rust: Rust) -> Result<Release> {
    let kernels = adopt::here(&context.report)?;
    let needs_rust = rust == Rust::Needed;
    for one in &kernels {
        let release = &one.kernel.release;
        if is_prepared(context, release, rust) {
            return Ok(release.clone());
        }
        if adopt::obstruction(one, needs_rust).is_none() {
            take(context, one, rust)?;
            return Ok(release.clone());
        }
    }
    let why = |one: &SurveyedKernel| {
        let obstruction = adopt::obstruction(one, needs_rust)?;
        Some(format!("\n    {}: {}", one.kernel.release, obstruction.why))
    };
    let language = if needs_rust { " in Rust" } else { "" };
    let reason = format!(
        "no installed kernel can be built for{language}:{}",
        kernels.iter().filter_map(why).collect::<String>()
    );
    // What is wrong with headers that are there tells more than that others are not.
    let mut obstructions: Vec<_> =
        kernels.iter().filter_map(|one| adopt::obstruction(one, needs_rust)).collect();
    obstructions.sort_by_key(|obstruction| !obstruction.wrong);
    let newest = obstructions.first();
    let wrong = newest.is_some_and(|obstruction| obstruction.wrong);
    let exit = if wrong { Exit::Refused } else { Exit::Missing };
    let remedy = newest.and_then(|obstruction| obstruction.remedy.clone());
    Err(Failure::new(exit, "--kernel installed", reason)
        .remedy(remedy.unwrap_or_else(|| "cargo kmod kernel list --installed".to_owned()))
        .into())
}

/// Whether it was prepared from elsewhere, and so is as good as the installed one.
fn is_prepared(context: &Context, release: &Release, rust: Rust) -> bool {
    Kdir::open(&context.cache, release)
        .is_some_and(|kdir| !kdir.is_installed() && (rust == Rust::Optional || kdir.stamp().has_rust()))
}

fn take(context: &Context, one: &SurveyedKernel, rust: Rust) -> Result<()> {
    if let Some(obstruction) = adopt::obstruction(one, rust == Rust::Needed) {
        return Err(obstruction.failure(&one.kernel).into());
    }
    if !context.dry_run {
        adopt::adopt(context, one)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_asked_for_by_release_or_by_what_it_is_here() {
        for (text, asked) in [
            ("installed", Some(AskedKernel::Installed)),
            ("running", Some(AskedKernel::Running)),
            ("6.12.9-a", Some(AskedKernel::Release("6.12.9-a".parse().unwrap()))),
            ("Installed", None),
            ("../x", None),
        ] {
            assert_eq!(text.parse().ok(), asked, "{text}");
            assert!(asked.is_none_or(|asked| asked.to_string() == text));
        }
    }
}
