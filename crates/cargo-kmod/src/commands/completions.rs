// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod completions`: for the shells that clap knows.

use anyhow::Result;
use clap_complete::Shell;

use crate::tool::Tool;

/// Prints the script. It completes the program itself (`cargo-kmod`): after `cargo`, a shell asks cargo.
pub fn run(tool: &Tool, shell: Shell) -> Result<()> {
    let name = tool.program_name();
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut tool.command_line().name(name.clone()).bin_name(name.clone()),
        name,
        &mut script,
    );
    Ok(report::print(&script)?)
}
