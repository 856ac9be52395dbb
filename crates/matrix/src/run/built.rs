// SPDX-License-Identifier: GPL-2.0
//! What was built of a project for a kernel.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::answer;
use super::command::{self, CellParts};
use super::program::{self, StandardOutput};
use super::stop::StopFlag;
use super::tool_call::ToolCall;
use crate::plan::{Cell, PlannedKernel, PlannedProject};
use crate::step::CellStep;

/// The modules of a cell's project for its kernel: what is there already, or else it is built. What
/// the tool says meanwhile goes to `log`. The inner error is why it cannot be built.
///
/// # Errors
///
/// If the tool cannot be run.
pub fn built_modules(
    project: &PlannedProject,
    kernel: &PlannedKernel,
    cell: &Cell,
    tool: &ToolCall,
    log: &Utf8Path,
    stop: &StopFlag,
) -> Result<Result<Vec<Utf8PathBuf>, String>> {
    let parts = CellParts { cell, project, kernel };
    let words = command::words(parts, &CellStep::Build, &[]);
    let cmd = command::command(parts, &CellStep::Build, &words, tool);
    let ended = program::run(cmd, StandardOutput::Kept, log, stop)?;
    let answer = answer::read(&ended.stdout);
    Ok(match ended.code() {
        0 => Ok(answer.built),
        _ => Err(format!("it cannot be built: {}", answer.reason)),
    })
}
