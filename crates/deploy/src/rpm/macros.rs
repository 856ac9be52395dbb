// SPDX-License-Identifier: GPL-2.0
//! rpm's macros on a command line.

use report::process::Cmd;

/// A value that rpm is to take as it stands.
pub(super) fn escaped(value: &str) -> String {
    value.replace('%', "%%")
}

/// `cmd` with macros, by name and value.
pub(super) fn with_defines(cmd: Cmd, defines: impl IntoIterator<Item = (String, String)>) -> Cmd {
    defines.into_iter().fold(cmd, |cmd, (name, value)| cmd.arg("--define").arg(format!("{name} {value}")))
}
