// SPDX-License-Identifier: GPL-2.0
//! Runs programs of the system that was put into the machine.

use std::process::{Command, Stdio};

use guest::OUTPUT_LIMIT;
use nix::errno::Errno;

use crate::steps::StepError;

/// Runs a program to its end and gives what it printed on both outputs, cut to [`OUTPUT_LIMIT`].
#[expect(clippy::disallowed_methods, reason = "the machine's one door to other programs")]
pub(crate) fn run(program: &str, args: &[String]) -> Result<String, StepError> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| StepError::io(&error, program))?;
    let mut printed = [output.stdout, output.stderr].concat();
    printed.truncate(OUTPUT_LIMIT);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let message = format!("{program}: {}: {}", output.status, printed.trim_end());
    Err(StepError { errno: Errno::EIO, message })
}
