// SPDX-License-Identifier: GPL-2.0
//! Loads a project's modules in a machine, and takes them out again.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;
use kernel::context::Context;
use kernel::prepare::Prepared;
use project::Project;
use project::build::Built;
use vm::boot::{self, Options};
use vm::decode::DecodedTrace;
use vm::ktap::KtapReport;
use vm::leaks::{self, LostObject};
use vm::modules::{GuestModule, ModuleTree, in_order};
use vm::payload::Payload;
use vm::run::Run;
use vm::trace::Trace;
use vm::verdict::{Judgement, Verdict};
use vm_protocol::GuestStep;

use crate::commands::insmod::args::InsmodArgs;

/// What came of loading the project's modules.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The run, its judgement with what is below taken into account.
    pub(super) run: Run,
    /// The tests that ran in the modules.
    pub(super) tests: KtapReport,
    /// What kmemleak found.
    pub(super) lost: Vec<LostObject>,
    /// The first trace of a run that did not pass.
    pub(super) trace: Option<DecodedTrace>,
}

/// Boots one kernel and loads the project's modules in the order of dkms.conf, then unloads
/// everything in reverse; what the machine prints goes to `console`.
pub(super) fn load(
    context: &Context,
    args: &InsmodArgs,
    project: &Project,
    prepared: &Prepared,
    built: &Built,
    console: &Utf8Path,
) -> Result<Loaded> {
    let tree = boot::tree(&prepared.kdir)?;
    let modules =
        built.objects.iter().map(|object| GuestModule::read(&object.file)).collect::<Result<Vec<_>>>()?;
    let payload = payload(&tree, project, modules, args)?;
    let options = Options {
        memory: args.memory,
        append: args.append.clone(),
        limit: args.limit.map(Duration::from_secs),
        warm: !args.cold,
        events: args.events.clone(),
    };
    let mut run = boot::boot(context, &prepared.kdir, &payload, console, &options)?;
    let (tests, lost) = (boot::tests_in(&run), boot::lost_objects(&payload, &run));
    run.judgement = judged_with(run.judgement, &tests, &lost);
    let trace = match run.judgement.verdict {
        Verdict::Pass => None,
        _ => trace(context, prepared, built, &run)?,
    };
    Ok(Loaded { run, tests, lost, trace })
}

/// The first trace on the console, led back to the source. Where that cannot be done, it is said,
/// and the trace is shown as the kernel printed it.
fn trace(context: &Context, prepared: &Prepared, built: &Built, run: &Run) -> Result<Option<DecodedTrace>> {
    let console = fs_err::read(&run.console_log)?;
    let Some(trace) = Trace::first_in(&String::from_utf8_lossy(&console)) else { return Ok(None) };
    let decoded = DecodedTrace::of(context, prepared, &built.objects, &trace);
    Ok(Some(decoded.unwrap_or_else(|error| {
        context.report.warn(&format!("the trace is not led back to the source: {error:#}"));
        DecodedTrace::undecoded(trace)
    })))
}

/// A verdict that knows of tests, and whose leak says where.
fn judged_with(judgement: Judgement, tests: &KtapReport, lost: &[LostObject]) -> Judgement {
    match (judgement.verdict, lost.first()) {
        (Verdict::Leak, Some(object)) => {
            let reason = format!("{}; {object}", judgement.reason);
            Judgement { reason, ..judgement }
        }
        (Verdict::Pass, _) if tests.is_bad() => {
            let bad = tests.tests.iter().filter(|test| test.is_bad()).map(|test| test.name.as_str());
            let bad: Vec<&str> = bad.chain(tests.problems.iter().map(String::as_str)).collect();
            let reason = format!("KUnit: {}", bad.join(", "));
            Judgement { verdict: Verdict::StepFailed, reason, ..judgement }
        }
        _ => judgement,
    }
}

/// Inserts the project's `modules`, after the stock modules it names, and removes everything in
/// reverse.
pub(in crate::commands) fn payload(
    tree: &ModuleTree,
    project: &Project,
    modules: Vec<GuestModule>,
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
    if args.sanitize {
        // While they are there, backtraces have the names of their functions; once they are gone,
        // nothing of theirs points to anything.
        payload.step(GuestStep::Settle { millis: leaks::SETTLE }).look_for_leaks();
    }
    for name in names.iter().rev() {
        payload.remove(name);
    }
    if args.sanitize {
        payload.look_for_leaks();
    }
    for name in stock.iter().rev() {
        payload.remove(name);
    }
    Ok(payload)
}
