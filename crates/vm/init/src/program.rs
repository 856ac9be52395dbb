// SPDX-License-Identifier: GPL-2.0
//! Runs programs of the system that was put into the machine.

use std::process::{Command, Stdio};

use vm_protocol::{Errno, OUTPUT_LIMIT};

use crate::step_error::StepError;

/// Runs a program to its end and gives what it printed on both outputs, cut to [`OUTPUT_LIMIT`].
#[expect(clippy::disallowed_methods, reason = "the machine's one door to other programs")]
pub(crate) fn run(program: &str, args: &[String]) -> Result<String, StepError> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| StepError::of(program, error))?;
    let mut printed = [output.stdout, output.stderr].concat();
    printed.truncate(OUTPUT_LIMIT);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(StepError::new(Errno::EIO, format!("{program}: {}: {}", output.status, printed.trim_end())))
}
