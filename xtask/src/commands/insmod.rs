// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask insmod`: boots the very `.ko` that was built and gives a verdict.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use super::{build, secure_boot};
use crate::cli::InsmodArgs;
use crate::context::Context;
use crate::kernel::prepare::Prepared;
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::project::Project;
use crate::project::build::Built;
use crate::report::seconds;
use crate::vm::boot::{self, Options};
use crate::vm::machine::Run;
use crate::vm::modules::{Module, Tree, in_order};
use crate::vm::payload::Payload;
use crate::vm::verdict::Verdict;

/// The outcome for one kernel.
#[derive(Serialize)]
struct Outcome {
    release: Release,
    verdict: Verdict,
    reason: String,
    boot_seconds: Option<f64>,
    seconds: f64,
    said: Vec<String>,
    console: Utf8PathBuf,
}

/// Builds, boots, loads, unloads; the first verdict that is no pass is the exit status.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    if args.secure_boot {
        return secure_boot::run(context, args);
    }
    programs::ensure(context, &[programs::ROOTS, programs::VM])?;
    let mut outcomes = Vec::new();
    let batch = build::all(context, &args.build, |project, prepared, built| {
        let run = load(context, args, project, prepared, built)?;
        outcomes.push(outcome(project, built, &run));
        boot::require_pass(&run, built.release.as_str())
    })?;
    if !outcomes.is_empty() {
        context.report.data(&outcomes);
        outcomes.iter().for_each(|outcome| context.report.say(&shown(outcome)));
    }
    batch.first_error.map_or(Ok(()), Err)
}

/// Boots one kernel and loads the project's modules in the order of dkms.conf, then unloads
/// everything in reverse.
fn load(
    context: &Context,
    args: &InsmodArgs,
    project: &Project,
    prepared: &Prepared,
    built: &Built,
) -> Result<Run> {
    let tree = boot::tree(&prepared.kdir)?;
    let modules =
        built.objects.iter().map(|object| Module::read(&object.file)).collect::<Result<Vec<_>>>()?;
    let payload = payload(&tree, project, modules, args)?;
    let console = built.console_log();
    let options = Options {
        memory: args.memory,
        append: args.append.clone(),
        limit: args.limit.map(Duration::from_secs),
    };
    boot::boot(context, &prepared.kdir, &payload, &console, &options)
}

/// Inserts the project's `modules`, after the stock modules it names, and removes everything in reverse.
pub(super) fn payload(
    tree: &Tree,
    project: &Project,
    modules: Vec<Module>,
    args: &InsmodArgs,
) -> Result<Payload> {
    let mut payload = Payload::new(tree)?;
    let stock: Vec<&str> = project.loads.iter().map(String::as_str).collect();
    payload.insert_stock(tree, &stock)?;
    let params = args.params.join(" ");
    let modules = in_order(modules)?;
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    for module in modules {
        payload.insert_with(tree, module, &params)?;
    }
    for name in names.iter().rev() {
        payload.remove(name);
    }
    for name in stock.iter().rev() {
        payload.remove(name);
    }
    Ok(payload)
}

fn outcome(project: &Project, built: &Built, run: &Run) -> Outcome {
    let said = project.modules.iter().flat_map(|module| boot::said_by(run, &module.name.replace('-', "_")));
    Outcome {
        release: built.release.clone(),
        verdict: run.judgement.verdict,
        reason: run.judgement.reason.clone(),
        boot_seconds: run.boot.map(|boot| boot.as_secs_f64()),
        seconds: run.wall.as_secs_f64(),
        said: said.map(str::to_owned).collect(),
        console: run.console_log.clone(),
    }
}

fn shown(outcome: &Outcome) -> String {
    let wall = seconds(Duration::from_secs_f64(outcome.seconds));
    let said = outcome.said.iter().map(|line| format!("\n    {line}")).collect::<String>();
    format!("{}  {}  {wall}{said}", outcome.release, outcome.verdict)
}
