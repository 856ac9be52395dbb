// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod weak-modules`.

use std::io::BufRead as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use clap::Args;
use deploy::install::system::TargetSystem;
use deploy::install::transaction;
use deploy::rpm::weak_updates::layout::{Extra, Modules};
use deploy::rpm::weak_updates::link::LinkChange;
use deploy::rpm::weak_updates::plan::{self, WeakPlan, Wish};
use deploy::rpm::weak_updates::reason::NotLinked;
use deploy::rpm::weak_updates::work;
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
use report::Report;
use report::table;

/// `cargo kmod weak-modules`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "As in a package's scriptlet:  printf '%s\\n' /lib/modules/RELEASE/extra/NAME/X.ko | cargo kmod weak-modules --add-modules"
)]
pub struct WeakModulesArgs {
    /// What was added or is removed.
    #[command(flatten)]
    pub what: WeakModulesWhat,
    /// Root directory of the system
    #[arg(long, value_name = "DIR", default_value = "/", visible_alias = "basedir")]
    pub root: Utf8PathBuf,
    /// Taken, as the scriptlets of packages give it: no initramfs is made here
    #[arg(long)]
    pub no_initramfs: bool,
}

/// One of four actions.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WeakModulesWhat {
    /// For a kernel that was added: link the modules that it would load
    #[arg(long, value_name = "RELEASE")]
    pub add_kernel: Option<Release>,
    /// For a kernel that is removed: remove its links, and those that led to modules which went
    /// with it
    #[arg(long, value_name = "RELEASE")]
    pub remove_kernel: Option<Release>,
    /// For modules that were added, listed on standard input: link them in each kernel that would
    /// load them
    #[arg(long)]
    pub add_modules: bool,
    /// For modules that were removed, listed on standard input: remove the links that led to them.
    /// Links to files that are there stay, as those of an upgraded package are
    #[arg(long)]
    pub remove_modules: bool,
}

/// Plans and makes the changes, and prints them.
pub fn run(context: &Context, args: &WeakModulesArgs) -> Result<()> {
    let system = TargetSystem::open(&args.root)?;
    let modules = Modules::of(system.clone());
    let wish = wish(args, &modules)?;
    let _lock = system.lock(&context.report)?;
    transaction::recover(context, &system);
    let plan = plan::plan(context, &modules, &wish)?;
    tell(&context.report, &plan);
    if plan.changes.is_empty() && plan.stale.is_empty() {
        context.report.note("Fresh", "no link has to be made or removed");
        return Ok(());
    }
    if context.dry_run {
        return Ok(());
    }
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    work::carry_out(context, &modules, &plan)
}

fn wish(args: &WeakModulesArgs, modules: &Modules) -> Result<Wish> {
    let what = &args.what;
    Ok(match (&what.add_kernel, &what.remove_kernel) {
        (Some(kernel), _) => Wish::AddKernel(kernel.clone()),
        (_, Some(kernel)) => Wish::RemoveKernel(kernel.clone()),
        _ if what.add_modules => Wish::AddModules(named(modules)?),
        _ => Wish::RemoveModules(named(modules)?),
    })
}

/// The modules listed on standard input, one per line, as packages pass them to weak-modules.
fn named(modules: &Modules) -> Result<Vec<Extra>> {
    let lines = std::io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    let paths = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    paths.map(|line| Ok(modules.extra(Utf8Path::new(line))?)).collect()
}

/// An entry of what is printed with `--json`.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Change(&'a LinkChange),
    NotLinked {
        change: &'static str,
        #[serde(flatten)]
        what: &'a NotLinked,
    },
}

/// Prints what is changed, and what is not and why.
fn tell(report: &Report, plan: &WeakPlan) {
    for kernel in &plan.unknown {
        report.warn(&format!(
            "kernel {kernel} gets no links: there is no file that lists what it exports (symvers)"
        ));
    }
    for extra in &plan.kept {
        report.note("Keeping", &format!("links to {}: it is there, as after an upgrade", extra.seen()));
    }
    plan.not_linked.iter().for_each(|module| leave(report, module));
    let changed = |kernel: &&Release| plan.changes.iter().any(|change| change.kernel() == *kernel);
    for kernel in plan.stale.iter().filter(|kernel| !changed(kernel)) {
        report.note("Indexing", &format!("{kernel}: depmod has not run since its links were changed"));
    }
    let changes = plan.changes.iter().map(Entry::Change);
    let left = plan.not_linked.iter().map(|what| Entry::NotLinked { change: "none", what });
    report.data(&changes.chain(left).collect::<Vec<_>>());
    if !plan.changes.is_empty() {
        report.say(&shown(&plan.changes));
    }
}

/// One line for a module that is not linked; each reason in one of its own with `-v`. What the
/// kernel has from elsewhere is told with `-v` only.
fn leave(report: &Report, module: &NotLinked) {
    if !module.is_served() {
        report.note("Leaving", &module.to_string());
    }
    for why in &module.reasons {
        report.output_line(&format!("{} for {}: {why}", module.module, module.kernel));
    }
}

fn shown(changes: &[LinkChange]) -> String {
    let mut rows = vec![["KERNEL", "", "LINK", "TO"].map(str::to_owned).to_vec()];
    rows.extend(changes.iter().map(|change| match change {
        LinkChange::Link { kernel, link, target, .. } => {
            vec![kernel.to_string(), "add".to_owned(), link.to_string(), target.to_string()]
        }
        LinkChange::Unlink { kernel, link } => {
            vec![kernel.to_string(), "remove".to_owned(), link.to_string(), String::new()]
        }
    }));
    table(&rows)
}
