// SPDX-License-Identifier: GPL-2.0
//! The options of commands that boot a machine: what it has, and what its modules are given.

use std::time::Duration;

use clap::Args;
use report::process::Cmd;
use vm::boot::Options;

/// Memory of a machine in MiB, if nothing else is said.
const MEMORY: u32 = 256;

/// What the machine has, and what its modules are given.
#[derive(Clone, Debug, Args)]
pub struct MachineArgs {
    /// Parameters given to the module, such as mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Seconds after which the machine is stopped
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY)]
    pub memory: u32,
    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub smp: u32,
    /// Words added to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
}

impl MachineArgs {
    /// As a machine is started with it.
    pub(crate) fn options(&self) -> Options {
        Options {
            memory: self.memory,
            processors: self.smp,
            append: self.append.clone(),
            limit: self.limit.map(Duration::from_secs),
            ..Options::default()
        }
    }

    /// The same options for another command.
    pub(crate) fn add_to(&self, cmd: Cmd) -> Cmd {
        let mut cmd = cmd;
        for (option, values) in [("--params", &self.params), ("--append", &self.append)] {
            cmd = values.iter().fold(cmd, |cmd, value| cmd.args([option, value]));
        }
        let numbers = [
            ("--memory", (self.memory != MEMORY).then_some(u64::from(self.memory))),
            ("--smp", (self.smp != 1).then_some(u64::from(self.smp))),
            ("--limit", self.limit),
        ];
        for (option, number) in numbers.into_iter().filter_map(|(option, number)| Some((option, number?))) {
            cmd = cmd.args([option, &number.to_string()]);
        }
        cmd
    }
}
