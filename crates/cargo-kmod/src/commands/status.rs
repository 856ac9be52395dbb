// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod status`.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::commands::install::SystemArgs;
use clap::Args;
use deploy::install::record::Record;
use deploy::install::status::{self, ModuleStatus};
use deploy::install::system::TargetSystem;
use deploy::install::transaction;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
use report::table;

/// `cargo kmod status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Names of modules [default: all that this tool has installed]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Kernel to report on: a release, or `running`, or `installed`, the newest; may be repeated
    /// [default: all that are installed]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<AskedKernel>,
    /// Which system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// Prints a table of the modules for each kernel, and below it what the user should know.
pub fn run(context: &Context, args: &StatusArgs) -> Result<()> {
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    let system = TargetSystem::open(&args.system.root)?;
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, &system);
    let named = args.kernels.iter().map(|asked| asked.named(context, system.root()));
    let named = named.collect::<Result<Vec<_>>>()?;
    let releases = if named.is_empty() { system.releases() } else { named };
    let mut all = Vec::new();
    for release in &releases {
        for name in names(&system, release, args)? {
            all.push(status::of(context, &system, release, &name)?);
        }
    }
    context.report.data(&all);
    context.report.say(&shown(&all));
    Ok(())
}

/// The modules asked for, or those that are installed for the release.
fn names(system: &TargetSystem, release: &Release, args: &StatusArgs) -> Result<BTreeSet<String>> {
    if args.names.is_empty() {
        return Ok(Record::read(system, release)?.modules.into_keys().collect());
    }
    Ok(args.names.iter().map(|name| name.replace('-', "_")).collect())
}

fn shown(all: &[ModuleStatus]) -> String {
    if all.is_empty() {
        return "this tool has not installed any module; name one to see what modprobe would load".to_owned();
    }
    let mut rows =
        vec![["KERNEL", "MODULE", "MODPROBE LOADS", "WHY", "OURS", "IN MEMORY"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|status| {
        vec![
            status.release.to_string(),
            status.module.clone(),
            status.loads.clone(),
            status.why.clone(),
            if status.ours { "yes" } else { "no" }.to_owned(),
            status.memory.to_string(),
        ]
    }));
    let remarks = all.iter().flat_map(|status| {
        status.remarks.iter().map(move |remark| format!("\n{}: {}: {remark}", status.release, status.module))
    });
    table(&rows) + &remarks.collect::<String>()
}
