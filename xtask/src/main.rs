// SPDX-License-Identifier: GPL-2.0
//! The program behind `cargo xtask`.

use std::process::ExitCode;

use xtask::cli::{Cli, Command, XTASK};

fn main() -> ExitCode {
    let Cli { command, global } = XTASK.parse(std::env::args_os().collect());
    if let Command::Tool(command) = &command {
        match command.run_inside() {
            Some(Ok(())) => return ExitCode::SUCCESS,
            Some(Err(error)) => return XTASK.end(error),
            None => {}
        }
    }
    XTASK.run(&global, |context| command.run(context))
}
