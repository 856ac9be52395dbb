// SPDX-License-Identifier: GPL-2.0
//! What the init reports.

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::log::LogLine;

/// One line on the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The nonce of the plan.
    pub nonce: String,
    /// What happened.
    pub event: Event,
}

/// What the init reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The init runs and is about to begin.
    Hello {
        /// The running kernel, as `uname -r` prints it.
        release: String,
        /// `/proc/sys/kernel/tainted`: a bit mask (Documentation/admin-guide/tainted-kernels.rst).
        tainted: u64,
        /// The kernel log so far.
        log: Vec<LogLine>,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the plan, from 0.
        index: usize,
    },
    /// A step ended.
    StepEnded {
        /// Its place in the plan, from 0.
        index: usize,
        /// Whether it succeeded.
        outcome: StepOutcome,
        /// How long it took, in milliseconds.
        millis: u64,
        /// What it brought back; of a program also where it failed.
        output: Option<String>,
        /// The kernel log since the step began.
        log: Vec<LogLine>,
        /// The taint mask before the step.
        taint_before: u64,
        /// The taint mask after the step.
        taint_after: u64,
    },
    /// All steps so far are done, and the rest of the plan is waited for.
    Waiting {
        /// The taint mask.
        tainted: u64,
        /// The kernel log since the last step.
        log: Vec<LogLine>,
    },
    /// The init itself could not go on.
    Broken {
        /// Why.
        why: String,
    },
    /// All steps are done, or one did not end as expected. The last message.
    Finished {
        /// The taint mask at the end.
        tainted: u64,
        /// The kernel log since the last step.
        log: Vec<LogLine>,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed {
        /// The error, `EIO` where no system call gave one.
        errno: Errno,
        /// What failed, for people.
        message: String,
        /// The exit status of a program that ended by itself, with another than 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line() {
        let event = Event::StepEnded {
            index: 0,
            outcome: StepOutcome::Failed { errno: Errno::ENOENT, message: "x".into(), exit: None },
            millis: 3,
            output: Some("two\nlines".into()),
            log: vec![],
            taint_before: 0,
            taint_after: 4096,
        };
        let message = Message { nonce: "n".into(), event };
        let line = serde_json::to_string(&message).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), message);
    }
}
