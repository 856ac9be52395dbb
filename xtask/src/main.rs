// SPDX-License-Identifier: GPL-2.0
//! Parses the command line, dispatches, prints errors.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::Parser as _;
use xtask::cache::Cache;
use xtask::cli::{Cli, Command, Global};
use xtask::commands;
use xtask::context::{Context, processors};
use xtask::dkms::{Bundle, Goal};
use xtask::failure::{exit_of, explained, remedy_of};
use xtask::report::Report;
use xtask::root::removal;

fn main() -> ExitCode {
    match dispatch(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            show(&error);
            exit_of(&error).into()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<()> {
    // These two run inside namespaces and need nothing of the user's.
    match &cli.command {
        Command::EnterRoot(entry) => return entry.run(),
        Command::RemoveRoot { dir } => return removal::remove_in_namespace(dir),
        _ => {}
    }
    let context = context(&cli.global)?;
    run(&context, &cli.command).map_err(|error| {
        let error = explained(error, context.cache.dir().as_str());
        if !context.report.answered() {
            context.report.data(&as_value(&error));
        }
        error
    })
}

/// An error as `--json` prints it, where there is no result.
fn as_value(error: &anyhow::Error) -> serde_json::Value {
    serde_json::json!({
        "error": format!("{error:#}"), "remedy": remedy_of(error), "exit": exit_of(error) as u8,
    })
}

fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Doctor => commands::doctor::run(context),
        Command::Kernel(command) => commands::kernel::run(context, command),
        Command::Build(args) => commands::build::run(context, args),
        Command::Inspect(args) => commands::inspect::run(context, args),
        Command::Patch(command) => commands::patch::run(context, command),
        Command::Key(command) => commands::key::run(context, command),
        Command::Sign(args) => commands::sign::run(context, args),
        Command::EnterRoot(_) | Command::RemoveRoot { .. } => unreachable!("dispatched above"),
        Command::Test(args) => commands::test::run(context, args),
        Command::Demo(args) => commands::demo::run(context, args),
        Command::DkmsAdd(args) => commands::dkms::bring(context, args, Goal::Added),
        Command::DkmsBuild(args) => commands::dkms::bring(context, args, Goal::Built),
        Command::DkmsInstall(args) => commands::dkms::bring(context, args, Goal::Installed),
        Command::DkmsUninstall(args) => commands::dkms::uninstall(context, args),
        Command::DkmsRemove(args) => commands::dkms::remove(context, args),
        Command::DkmsMkrpm(args) => commands::dkms::bundle(context, args, Bundle::Rpm),
        Command::DkmsMktarball(args) => commands::dkms::bundle(context, args, Bundle::Tarball),
        Command::DkmsStatus(place) => commands::dkms::status(context, place),
        Command::Install(args) => commands::install::run(context, args),
        Command::Uninstall(args) => commands::uninstall::run(context, args),
        Command::Status(args) => commands::status::run(context, args),
        Command::Insmod(args) => commands::insmod::run(context, args),
        Command::Rpm(args) => commands::rpm::run(context, args),
        Command::WeakModules(args) => commands::weak_modules::run(context, args),
        Command::Verify(args) => commands::verify::run(context, args),
        Command::Bench(args) => commands::bench::run(context, args),
        Command::Man(args) => commands::man::run(context, args),
        Command::Completions { shell } => commands::completions::run(*shell),
    }
}

fn context(global: &Global) -> Result<Context> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    Ok(Context {
        report: Report::new(global.verbose, global.json),
        cache: Cache::of_user()?,
        program: Utf8PathBuf::try_from(program)?,
        yes: global.yes,
        dry_run: global.dry_run,
        jobs: global.jobs.unwrap_or_else(processors).max(1),
        root_fs: global.root_fs,
    })
}

/// The error on standard error.
fn show(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(remedy) = remedy_of(error) {
        eprintln!("remedy: {remedy}");
    }
}
