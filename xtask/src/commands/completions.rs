// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask completions`: for the shells that clap knows.

use std::io::Write as _;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// The name the shell completes after: that of the program itself, since after `cargo` it asks cargo.
const NAME: &str = "xtask";

/// Prints the script.
pub fn run(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command().name(NAME).bin_name(NAME), NAME, &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
