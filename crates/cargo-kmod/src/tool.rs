// SPDX-License-Identifier: GPL-2.0
//! The program as it was called: what it is named, what it has besides this crate's commands, and
//! how a run of it ends.

use std::ffi::OsString;
use std::iter;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::{CommandFactory, FromArgMatches};

use crate::global::Global;
use crate::help;
use kernel::context::{Context, processors};
use kernel::distribution::known;
use kernel::machine::programs::{self, Program};
use kmodfile::architecture::Architecture;
use report::Report;
use report::cache::Cache;
use report::failure::{exit_of, program_of, remedy_of};
use report::storage::explained;

/// The program that users call.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// How they call it: `cargo kmod`.
    pub name: &'static str,
    /// Its whole command line, for help, manual pages and completions.
    pub command: fn() -> clap::Command,
    /// Its commands by task, as its help lists them.
    pub groups: &'static [help::Group],
    /// What its commands need of this machine, besides what those of this crate do.
    pub programs: &'static [&'static [Program]],
    /// The directory of the project where none is named, and of what is built; by default they are
    /// looked for.
    pub home: Option<fn() -> Utf8PathBuf>,
}

impl Tool {
    /// Reads the command line; ends the program with a usage error where it makes no sense, and
    /// with the help where that was asked for.
    pub fn parse<Cli: CommandFactory + FromArgMatches>(&self, args: Vec<OsString>) -> Cli {
        // The help's texts are only made where they are shown: that takes longer than all else.
        let matches = match (self.command)().try_get_matches_from(&args) {
            Ok(matches) => matches,
            Err(_) => self.command_line().get_matches_from(args),
        };
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The whole command line, with help that names the tool as it was called.
    pub fn command_line(&self) -> clap::Command {
        help::named(help::grouped((self.command)(), self.groups), self.name)
    }

    /// Runs `command` to its end: an error is shown, and its status is the program's.
    pub fn run(&self, global: &Global, command: impl FnOnce(&Context) -> Result<()>) -> ExitCode {
        let context = match self.context(global) {
            Ok(context) => context,
            Err(error) => return self.end(error),
        };
        let result =
            command(&context).and_then(|()| context.report.lost().map_or(Ok(()), |lost| Err(lost.into())));
        let Err(error) = result else { return ExitCode::SUCCESS };
        let error = explained(error, context.cache.dir());
        if !context.report.answered() {
            context.report.data(&self.as_value(&error));
        }
        self.end(error)
    }

    /// Ends with an error, which is shown on standard error.
    pub fn end(&self, error: anyhow::Error) -> ExitCode {
        report::error_line(&format!("error: {}", self.named(&format!("{error:#}"))));
        if let Some(remedy) = self.remedy(&error) {
            report::error_line(&format!("remedy: {remedy}"));
        }
        exit_of(&error).into()
    }

    /// The name without a blank, as a program's file or a manual page has it: `cargo-kmod`.
    pub fn program_name(&self) -> String {
        self.name.replace(' ', "-")
    }

    /// All programs that anything here needs.
    pub fn all_programs(&self) -> impl Iterator<Item = &'static Program> {
        let here = iter::once(known::programs()).chain(PROGRAMS.iter().copied());
        let boots = Architecture::ALL.map(vm::qemu::programs);
        here.chain(self.programs.iter().copied()).chain(boots).flatten()
    }

    fn context(&self, global: &Global) -> Result<Context> {
        let program = std::env::current_exe().context("finding this program's own file")?;
        let report = Report::new(global.verbose, global.json, self.name);
        let home = self.home.map(|home| home());
        Ok(Context {
            yes: global.yes,
            dry_run: global.dry_run,
            jobs: global.jobs.unwrap_or_else(processors).max(1),
            root_fs: global.root_fs,
            target: global.target()?.or_else(|| Some(home.as_ref()?.join("target"))),
            home,
            store: global.kernel_store()?,
            ..Context::new(report, Cache::of_user()?, Utf8PathBuf::try_from(program)?)
        })
    }

    /// An error as `--json` prints it, where there is no result.
    fn as_value(&self, error: &anyhow::Error) -> serde_json::Value {
        serde_json::json!({
            "error": format!("{error:#}"), "remedy": self.remedy(error), "exit": exit_of(error) as u8,
        })
    }

    /// What the user can do about an error; of a program that is missing, which package has it.
    fn remedy(&self, error: &anyhow::Error) -> Option<String> {
        let package = || {
            let name = program_of(error)?;
            let known = self.all_programs().find(|program| program.name == name);
            known.map(|program| programs::supply(&[program])).or_else(|| programs::supply_of_file(name))
        };
        remedy_of(error).map(|remedy| self.named(remedy)).or_else(package)
    }

    fn named(&self, text: &str) -> String {
        text.replace(report::TOOL, self.name)
    }
}

/// What the commands of this crate need of a machine, besides what looking at a distribution's
/// archive takes.
pub const PROGRAMS: &[&[Program]] =
    &[deploy::install::PROGRAMS, project::key::PROGRAMS, deploy::rpm::sign::PROGRAMS];
