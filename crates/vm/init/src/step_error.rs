// SPDX-License-Identifier: GPL-2.0
//! Why a step failed.

use std::fmt;
use std::io;

use vm_protocol::{Errno, StepOutcome};

/// What a step brings back, if anything, or why it failed.
pub type GuestStepResult = Result<Option<String>, StepError>;

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    errno: Errno,
    message: String,
    exit: Option<i32>,
    output: Option<String>,
}

impl StepError {
    /// An error with words of its own.
    pub fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self { errno, message: message.into(), exit: None, output: None }
    }

    /// The same, of a program that ended with this status, if it ended by itself, and printed this.
    #[must_use]
    pub fn of_program(self, exit: Option<i32>, output: Option<String>) -> Self {
        Self { exit, output, ..self }
    }

    /// What the system said of `what`; `EIO` if it was not a system call that failed.
    pub fn of(what: impl fmt::Display, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        Self::new(errno, format!("{what}: {}", described(&error)))
    }

    /// The same, as a part of something larger.
    #[must_use]
    pub fn within(self, whole: &str) -> Self {
        Self { message: format!("{whole}: {}", self.message), ..self }
    }

    /// The same, and `more`.
    #[must_use]
    pub fn with(self, more: &str) -> Self {
        Self { message: self.message + more, ..self }
    }

    /// As it is reported, and what the step brought back all the same.
    pub fn reported(self) -> (StepOutcome, Option<String>) {
        let Self { errno, message, exit, output } = self;
        (StepOutcome::Failed { errno, message, exit }, output)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The text of an error. Its number is left out: the report has the name besides.
fn described(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(description) => description.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_has_its_number_once() {
        let error = StepError::of("/x", io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), "/x: No such file or directory");
        let failed = StepOutcome::Failed { errno: Errno::ENOENT, message: error.to_string(), exit: None };
        assert_eq!(error.reported(), (failed, None));
    }

    #[test]
    fn what_no_system_call_said_is_an_input_output_error() {
        let error = StepError::of("/x", io::Error::other("gone")).within("copy");
        assert_eq!(error, StepError::new(Errno::EIO, "copy: /x: gone"));
    }
}
