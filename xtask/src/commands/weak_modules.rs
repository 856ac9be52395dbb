// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask weak-modules`.

use std::collections::BTreeSet;
use std::io::BufRead as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::WeakModulesArgs;
use crate::context::Context;
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::process::Cmd;
use crate::report::table;
use crate::rpm::weak_updates::{Change, Extra, Modules};

/// Plans, does and prints.
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
    programs::ensure(context, &[programs::INSTALL])?;
    changes.iter().try_for_each(|change| modules.apply(change))?;
    let kernels: BTreeSet<&Release> = changes.iter().map(Change::kernel).collect();
    kernels.into_iter().try_for_each(|kernel| depmod(context, &args.root, kernel))
}

fn plan(context: &Context, args: &WeakModulesArgs, modules: &Modules) -> Result<Vec<Change>> {
    let what = &args.what;
    match (&what.add_kernel, &what.remove_kernel) {
        (Some(kernel), _) => modules.add_kernel(kernel, &context.report),
        (_, Some(kernel)) => Ok(modules.remove_kernel(kernel)),
        _ if what.add_modules => modules.add_modules(&named(modules)?, &context.report),
        _ => Ok(modules.remove_modules(&named(modules)?)),
    }
}

/// Modules that standard input names, a line each, as packages name them to weak-modules.
fn named(modules: &Modules) -> Result<Vec<Extra>> {
    let lines = std::io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    let paths = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    paths.map(|line| modules.extra(Utf8Path::new(line))).collect()
}

/// A kernel that is half removed has no modules to put in order.
fn depmod(context: &Context, root: &Utf8Path, kernel: &Release) -> Result<()> {
    if !root.join("lib/modules").join(kernel).join("kernel").exists() {
        return Ok(());
    }
    let program = programs::find("depmod").unwrap_or_else(|| Utf8PathBuf::from("depmod"));
    Cmd::new(program).arg("--basedir").arg(root).arg(kernel.as_str()).run(&context.report)?;
    Ok(())
}

fn shown(changes: &[Change]) -> String {
    let mut rows = vec![["KERNEL", "", "LINK", "TO"].map(str::to_owned).to_vec()];
    rows.extend(changes.iter().map(|change| match change {
        Change::Link { kernel, link, target } => {
            vec![kernel.to_string(), "add".to_owned(), link.to_string(), target.to_string()]
        }
        Change::Unlink { kernel, link } => {
            vec![kernel.to_string(), "remove".to_owned(), link.to_string(), String::new()]
        }
    }));
    table(&rows)
}
