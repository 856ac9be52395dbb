// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod completions`: for the shells that clap knows.

use anyhow::Result;
use clap_complete::Shell;

use crate::tool::Tool;

/// Prints the script.
pub fn run(tool: &Tool, shell: Shell) -> Result<()> {
    Ok(report::print(&script(tool, shell))?)
}

/// The script. It completes the program itself (`cargo-kmod`): after `cargo`, most shells ask
/// cargo.
pub(super) fn script(tool: &Tool, shell: Shell) -> Vec<u8> {
    let name = tool.program_name();
    let mut command = tool.command_line().name(name.clone()).bin_name(name.clone());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}
