// SPDX-License-Identifier: GPL-2.0
//! The command line of `cargo xtask`: that of the tool, the names of DKMS's steps without a blank,
//! and this repository's own commands.

use anyhow::Result;
use cargo_kmod::cli::{Command as ToolCommand, EXIT_STATUS};
use cargo_kmod::commands::dkms::{self, DkmsArgs, DkmsCommand, DkmsPlace};
use cargo_kmod::global::Global;
use cargo_kmod::help::{self, Group};
use cargo_kmod::tool::Tool;
use clap::{CommandFactory as _, Parser, Subcommand};
use kernel::context::Context;

use crate::commands::bench::BenchArgs;
use crate::commands::demo::DemoArgs;
use crate::commands::test::TestArgs;
use crate::commands::trial::TrialArgs;
use crate::commands::verify::VerifyArgs;
use crate::{commands, repository, share};

/// Builds, checks, boots and ships this repository's modules, and anybody's
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// The tool as this repository has it.
pub const XTASK: Tool = Tool {
    name: "cargo xtask",
    command: Cli::command,
    groups: GROUPS,
    programs: &[share::PROGRAMS, deploy::dkms::PROGRAMS],
    home: Some(repository),
};

const GROUPS: &[Group] = &[
    ("Begin", &["demo", "new", "doctor"]),
    help::GROUPS[1],
    help::GROUPS[2],
    help::GROUPS[3],
    help::GROUPS[4],
    ("This repository", &["test", "trial", "verify", "bench"]),
    ("This tool", &["setup", "completions", "man"]),
];

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A command of the tool.
    #[command(flatten)]
    Tool(ToolCommand),
    /// A step of DKMS.
    #[command(flatten)]
    Dkms(DkmsStep),
    /// Prepare a kernel, build the guard, boot it, and mount a real share with it enforcing
    Demo(DemoArgs),
    /// Judge the replies in network captures: what would the guard reject, were it enforcing?
    ///
    /// Reads pcap and pcapng, puts TCP streams together, and prints a verdict on the replies of
    /// every SMB server in them. Encrypted and compressed replies are counted, not guessed at. Ends
    /// with 0 when enforcing would reject none, 1 when it would reject one, 4 when there is no
    /// reply to judge.
    Verify(VerifyArgs),
    /// Run the test suites
    Test(TestArgs),
    /// Try kernels, and write docs/kernels.md: prepared, built for, booted, modules loaded
    Trial(TrialArgs),
    /// Measure against what one would use otherwise, and print ratios
    Bench(BenchArgs),
}

/// `cargo xtask dkms-install` and the like: `cargo xtask dkms install` in one word.
#[derive(Clone, Debug, Subcommand)]
pub enum DkmsStep {
    /// The same as dkms add
    #[command(hide = true)]
    DkmsAdd(DkmsArgs),
    /// The same as dkms build
    #[command(hide = true)]
    DkmsBuild(DkmsArgs),
    /// The same as dkms install
    #[command(hide = true)]
    DkmsInstall(DkmsArgs),
    /// The same as dkms uninstall
    #[command(hide = true)]
    DkmsUninstall(DkmsArgs),
    /// The same as dkms remove
    #[command(hide = true)]
    DkmsRemove(DkmsArgs),
    /// The same as dkms mkrpm
    #[command(hide = true)]
    DkmsMkrpm(DkmsArgs),
    /// The same as dkms mktarball
    #[command(hide = true)]
    DkmsMktarball(DkmsArgs),
    /// The same as dkms status
    #[command(hide = true)]
    DkmsStatus(DkmsPlace),
}

impl Command {
    /// Runs the command.
    pub fn run(&self, context: &Context) -> Result<()> {
        match self {
            Self::Tool(command) => command.run(&XTASK, context),
            Self::Dkms(step) => dkms::run(context, &step.command()),
            Self::Demo(args) => commands::demo::run(context, args),
            Self::Verify(args) => commands::verify::run(context, args),
            Self::Test(args) => commands::test::run(context, args),
            Self::Trial(args) => commands::trial::run(context, args),
            Self::Bench(args) => commands::bench::run(context, args),
        }
    }
}

impl DkmsStep {
    /// The command that it is short for.
    fn command(&self) -> DkmsCommand {
        match self.clone() {
            Self::DkmsAdd(args) => DkmsCommand::Add(args),
            Self::DkmsBuild(args) => DkmsCommand::Build(args),
            Self::DkmsInstall(args) => DkmsCommand::Install(args),
            Self::DkmsUninstall(args) => DkmsCommand::Uninstall(args),
            Self::DkmsRemove(args) => DkmsCommand::Remove(args),
            Self::DkmsMkrpm(args) => DkmsCommand::Mkrpm(args),
            Self::DkmsMktarball(args) => DkmsCommand::Mktarball(args),
            Self::DkmsStatus(place) => DkmsCommand::Status(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_without_a_blank_are_those_of_the_groups_commands() {
        let tool = Cli::command();
        let group = tool.find_subcommand("dkms").unwrap();
        let flat: Vec<&str> =
            tool.get_subcommands().filter_map(|sub| sub.get_name().strip_prefix("dkms-")).collect();
        let nested = group.get_subcommands().map(clap::Command::get_name);
        let nested: Vec<&str> = nested.filter(|name| *name != "conf").collect();
        assert_eq!(flat, nested);
    }
}
