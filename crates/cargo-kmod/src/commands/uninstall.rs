// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod uninstall`.

use anyhow::Result;

use crate::commands::install::SystemArgs;
use clap::Args;
use deploy::install::initramfs;
use deploy::install::outcome::{InstallOutcome, InstallOutcomes};
use deploy::install::record::Record;
use deploy::install::system::TargetSystem;
use deploy::install::{removal, transaction};
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
use report::failure::Failure;

/// `cargo kmod uninstall`.
#[derive(Clone, Debug, Args)]
pub struct UninstallArgs {
    /// Names of the modules
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Kernel to uninstall them from; may be repeated [default: all that they are installed for]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<Release>,
    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
    /// When to rebuild the initramfs, if the module is in it
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub initramfs: initramfs::InitramfsChoice,
}

/// Uninstalls from each kernel, and prints the results.
pub fn run(context: &Context, args: &UninstallArgs) -> Result<()> {
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    let system = TargetSystem::open(&args.system.root)?;
    let names: Vec<String> = args.names.iter().map(|name| name.replace('-', "_")).collect();
    let mut outcomes = InstallOutcomes::default();
    for (release, names) in wanted(context, &system, args, &names)? {
        outcomes.add(release.as_str(), one(context, &system, &release, &names, args));
    }
    outcomes.show(context)
}

/// The kernels asked for, or all for which any of the modules is installed; each with the modules
/// to uninstall.
fn wanted(
    context: &Context,
    system: &TargetSystem,
    args: &UninstallArgs,
    names: &[String],
) -> Result<Vec<(Release, Vec<String>)>> {
    if !args.kernels.is_empty() {
        return Ok(args.kernels.iter().map(|release| (release.clone(), names.to_vec())).collect());
    }
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, system);
    let mut wanted = Vec::new();
    for release in system.releases() {
        let record = Record::read(system, &release)?;
        let there: Vec<String> =
            names.iter().filter(|name| record.modules.contains_key(*name)).cloned().collect();
        if !there.is_empty() {
            wanted.push((release, there));
        }
    }
    if wanted.is_empty() {
        let reason = format!("is not installed by this tool for any kernel in {}", system.root());
        return Err(Failure::missing(names.join(", "), reason).remedy("cargo kmod status").into());
    }
    Ok(wanted)
}

fn one(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    names: &[String],
    args: &UninstallArgs,
) -> Result<InstallOutcome> {
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, system);
    let plan = removal::plan(context, system, release, names, args.initramfs)?;
    transaction::run_or_say(context, system, &plan)
}
