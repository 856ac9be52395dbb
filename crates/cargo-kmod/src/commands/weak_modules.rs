// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod weak-modules`.

use std::io::BufRead as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use clap::Args;
use deploy::rpm::weak_updates::{Extra, LinkChange, Modules};
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
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
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: Utf8PathBuf,
}

/// One of four actions.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WeakModulesWhat {
    /// For a kernel that was added: link the modules that it would load
    #[arg(long, value_name = "RELEASE")]
    pub add_kernel: Option<Release>,
    /// For a kernel that is removed: remove its links, and those to its modules
    #[arg(long, value_name = "RELEASE")]
    pub remove_kernel: Option<Release>,
    /// For modules that were added, listed on standard input: link them in each kernel that would
    /// load them
    #[arg(long)]
    pub add_modules: bool,
    /// For modules that are removed, listed on standard input: remove the links to them
    #[arg(long)]
    pub remove_modules: bool,
}

/// Plans and makes the changes, and prints them.
pub fn run(context: &Context, args: &WeakModulesArgs) -> Result<()> {
    let modules = Modules::of(&args.root);
    let changes = plan(context, args, &modules)?;
    context.report.data(&changes);
    if !changes.is_empty() {
        context.report.say(&shown(&changes));
    }
    if context.dry_run || changes.is_empty() {
        return Ok(());
    }
    programs::ensure(context, &[deploy::install::PROGRAMS])?;
    changes.iter().try_for_each(|change| modules.apply(change))?;
    modules.index(&changes, &context.report)
}

fn plan(context: &Context, args: &WeakModulesArgs, modules: &Modules) -> Result<Vec<LinkChange>> {
    let what = &args.what;
    match (&what.add_kernel, &what.remove_kernel) {
        (Some(kernel), _) => modules.add_kernel(kernel, &context.report),
        (_, Some(kernel)) => Ok(modules.remove_kernel(kernel)),
        _ if what.add_modules => modules.add_modules(&named(modules)?, &context.report),
        _ => Ok(modules.remove_modules(&named(modules)?)),
    }
}

/// The modules listed on standard input, one per line, as packages pass them to weak-modules.
fn named(modules: &Modules) -> Result<Vec<Extra>> {
    let lines = std::io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    let paths = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    paths.map(|line| modules.extra(Utf8Path::new(line))).collect()
}

fn shown(changes: &[LinkChange]) -> String {
    let mut rows = vec![["KERNEL", "", "LINK", "TO"].map(str::to_owned).to_vec()];
    rows.extend(changes.iter().map(|change| match change {
        LinkChange::Link { kernel, link, target } => {
            vec![kernel.to_string(), "add".to_owned(), link.to_string(), target.to_string()]
        }
        LinkChange::Unlink { kernel, link } => {
            vec![kernel.to_string(), "remove".to_owned(), link.to_string(), String::new()]
        }
    }));
    table(&rows)
}
