// SPDX-License-Identifier: GPL-2.0
//! Makes sure that the programs of other projects are there that the tool runs.

use anyhow::Result;

use crate::context::Context;
use crate::machine::package_tool::PackageTool;
pub use crate::machine::program::{Program, program, supply, supply_of_file};
use crate::machine::program::{described, packages};
pub use crate::machine::search_path::find;
use report::failure::Failure;

/// Makes sure that the programs in `wanted` are installed. Missing ones are listed and installed
/// with this machine's package tool, after a question, unless `--yes` was given or root has no
/// terminal.
pub fn ensure(context: &Context, wanted: &[&[Program]]) -> Result<()> {
    let missing: Vec<&Program> =
        wanted.iter().copied().flatten().filter(|p| find(p.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let tool = PackageTool::here();
    missing.iter().for_each(|program| context.report.note("Missing", &described(program, tool)));
    let names = missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
    let command = supply(&missing);
    let Some(tool) = tool else {
        let reason = "not on this machine, and it has no package tool that is known here";
        return Err(Failure::missing(names, reason).remedy(command).into());
    };
    if context.dry_run {
        context.report.say(&format!("would run: {command}"));
        return Ok(());
    }
    let packages = packages(&missing, tool);
    let refusal = || Failure::missing(names.clone(), "not on this machine").remedy(command.clone());
    if !context.agree(&format!("Install {} with {}", packages.join(", "), tool.name()))? {
        return Err(refusal().into());
    }
    install(context, tool, &packages).map_err(|error| error.context(refusal()))?;
    match missing.iter().find(|program| find(program.name).is_none()) {
        None => Ok(()),
        Some(_) => Err(refusal().into()),
    }
}

/// Makes sure that packages without a program are installed, such as libraries to build against;
/// they are named as Debian's are.
pub fn ensure_packages(context: &Context, packages: &[&str]) -> Result<()> {
    let Some(tool) = PackageTool::here() else {
        return Err(Failure::missing(packages.join(", "), "cannot be looked for on this machine")
            .remedy(format!("install what your distribution has for {}", packages.join(", ")))
            .into());
    };
    let named = packages.iter().map(|name| tool.development(name)).collect();
    let missing = tool.missing(named, &context.report)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !context.agree(&format!("Install {} with {}", missing.join(", "), tool.name()))? {
        let failure = Failure::missing(missing.join(", "), "not on this machine");
        return Err(failure.remedy(tool.line(&missing)).into());
    }
    install(context, tool, &missing)
}

fn install(context: &Context, tool: PackageTool, packages: &[String]) -> Result<()> {
    let report = &context.report;
    // `apt-get update` does not wait for another one, whatever DPkg::Lock::Timeout says.
    let _lock = context.cache.lock("packages of this machine", report)?;
    let step = report.step("Installing", &packages.join(", "));
    tool.install(packages, &step, report)?;
    step.done("Installed", &packages.join(", "));
    Ok(())
}
