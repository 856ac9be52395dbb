// SPDX-License-Identifier: GPL-2.0
//! The commands that there are, as clap knows them: what is asked of every command is asked of a
//! new one, too.

use clap::Command;
use xtask::cli::XTASK;

/// The words of every command that has no subcommands, hidden ones included: `kernel remove`.
pub(crate) fn commands() -> Vec<String> {
    let tool = XTASK.command_line();
    let mut found = Vec::new();
    tool.get_subcommands().for_each(|command| collect(command, "", &mut found));
    found
}

fn collect(command: &Command, before: &str, found: &mut Vec<String>) {
    let words = format!("{before} {}", command.get_name());
    if command.has_subcommands() {
        command.get_subcommands().for_each(|command| collect(command, &words, found));
    } else {
        found.push(words.trim().to_owned());
    }
}
