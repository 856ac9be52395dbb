// SPDX-License-Identifier: GPL-2.0
//! rpm's macros on a command line.

use report::process::Cmd;

/// A value in which rpm expands nothing.
pub(super) fn escaped(value: &str) -> String {
    value.replace('%', "%%")
}

/// Adds macros to `cmd`, by name and value.
pub(super) fn with_defines(cmd: Cmd, defines: impl IntoIterator<Item = (String, String)>) -> Cmd {
    defines.into_iter().fold(cmd, |cmd, (name, value)| cmd.arg("--define").arg(format!("{name} {value}")))
}
