// SPDX-License-Identifier: GPL-2.0
//! What came of a cell: one file of JSON each, renamed into place when the cell has ended.

use camino::Utf8PathBuf;
use kmodfile::release::Release;
use report::failure::Exit;
use serde::{Deserialize, Serialize};

use crate::plan::{CellId, PlanId};
use crate::step::CellStep;

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// Which cell.
    pub cell: CellId,
    /// The plan that it was run for; the result is that of the cell in any.
    pub plan: PlanId,
    /// The name of its project.
    pub project: String,
    /// The release of its kernel.
    pub kernel: Release,
    /// What came of each step that was begun, in their order; the last one is where it ended.
    pub steps: Vec<StepResult>,
    /// Whether the run was ended before the cell was: what is here is a part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Whether its kernel could not be prepared, so that nothing was tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unprepared: bool,
    /// When it was begun, in seconds since 1970, by the clock of the machine that ran it.
    pub began: u64,
    /// How long it took, by one clock.
    pub seconds: f64,
    /// The machine that ran it.
    pub machine: String,
    /// How often it had been begun before, because a machine never came up.
    #[serde(default)]
    pub retries: u32,
    /// The version of the tool.
    pub tool: String,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Which.
    pub step: CellStep,
    /// The exit status, as the tool's commands have it: 0 passed, 21 is an oops.
    pub status: u8,
    /// Why it did not pass, in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What to do about it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// A trace of the kernel, led back to the source, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The first line that a compiler called an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// The command that does the same again.
    pub again: String,
    /// What the tool said, a file beside the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Utf8PathBuf>,
    /// What the machine printed, a file beside the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<Utf8PathBuf>,
}

/// The exit status of what is skipped.
pub const SKIPPED: u8 = 77;

impl CellResult {
    /// The step that did not pass.
    pub fn failed(&self) -> Option<&StepResult> {
        self.steps.iter().find(|step| !matches!(step.status, 0 | SKIPPED))
    }

    /// The status of the whole: of the step that failed, else skipped if one was.
    pub fn status(&self) -> u8 {
        let skipped = || self.steps.iter().any(|step| step.status == SKIPPED);
        match self.failed() {
            Some(step) => step.status,
            None if skipped() => SKIPPED,
            None => 0,
        }
    }

    /// Whether the result says something of the module, not of the machine that ran the cell: only
    /// then it need not be run again.
    pub fn is_final(&self) -> bool {
        !self.stopped && !self.unprepared && !is_of_the_machine(self.status())
    }
}

/// Whether a status says something of the machine that ran a cell, and nothing of the module:
/// something is missing there, the guest never came up, QEMU ended.
pub fn is_of_the_machine(status: u8) -> bool {
    matches!(Exit::of_status(status), Exit::Missing | Exit::NeverUp | Exit::QemuDied)
}

/// An exit status in a word, as tables and pages have it.
pub fn status_word(status: u8) -> &'static str {
    match status {
        0 => "passed",
        1 => "failed",
        2 => "usage",
        3 => "missing",
        4 => "refused",
        10 => "not loaded",
        20 => "warning",
        21 => "oops",
        22 => "lockdep",
        23 => "hang",
        24 => "leak",
        25 => "panic",
        30 => "never up",
        31 => "time limit",
        32 => "QEMU ended",
        77 => "skipped",
        _ => "ended",
    }
}
