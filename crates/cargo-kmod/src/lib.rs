// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod`: every command of the tool.
//!
//! A library, so that a project can have the commands as its own `cargo kmod` in three lines, and
//! add to them. Commands are thin: they turn the user's words into calls of the crates below, and
//! their results into what is printed.

pub mod cli;
pub mod commands;
pub mod global;
pub mod help;
mod installed;
mod machine_args;
pub mod tool;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory as _;

use cli::Cli;
use tool::Tool;

/// The tool as `cargo kmod`.
pub const CARGO_KMOD: Tool =
    Tool { name: report::TOOL, command: Cli::command, groups: help::GROUPS, programs: &[], home: None };

/// All of `cargo kmod`, for a program that is nothing else.
pub fn main() -> ExitCode {
    run(CARGO_KMOD)
}

/// The same as a project's own `cargo xtask`.
pub fn xtask() -> ExitCode {
    run(Tool { name: "cargo xtask", ..CARGO_KMOD })
}

/// The same under another name: `cargo_kmod::run(Tool { name: "cargo kmod", ..CARGO_KMOD })`.
pub fn run(tool: Tool) -> ExitCode {
    let Cli { command, global } = tool.parse(args());
    match command.run_inside() {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => tool.end(error),
        None => tool.run(&global, |context| command.run(&tool, context)),
    }
}

/// The words of the command line. Cargo runs `cargo kmod build` as `cargo-kmod kmod build`.
fn args() -> Vec<OsString> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == "kmod") {
        args.remove(1);
    }
    args
}
