// SPDX-License-Identifier: GPL-2.0
//! Loads a project's modules in a machine, and takes them out again.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use kernel::context::Context;
use kernel::prepare::Prepared;
use report::failure::Failure;
use vm::boot::{self, Options};
use vm::coverage::{Coverage, RecordingCode};
use vm::decode::DecodedTrace;
use vm::host_program::ProgramFiles;
use vm::ktap::KtapReport;
use vm::leaks::{self, LostObject};
use vm::modules::{GuestModule, ModuleTree, in_order};
use vm::payload::Payload;
use vm::run::Run;
use vm::test_programs;
use vm::trace::Trace;
use vm::verdict::{Judgement, Verdict};
use vm_protocol::GuestStep;

use crate::commands::insmod::args::InsmodArgs;
use crate::commands::insmod::coverage::measured;
use crate::commands::tested::TestedModules;

/// What came of loading the project's modules.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The run, its judgement with what is below taken into account.
    pub(super) run: Run,
    /// The tests that ran in the modules, and beside them.
    pub(super) tests: KtapReport,
    /// What kmemleak found.
    pub(super) lost: Vec<LostObject>,
    /// The first trace of a run that did not pass.
    pub(super) trace: Option<DecodedTrace>,
    /// Which lines were reached, if that was asked for and the guest came to tell.
    pub(super) coverage: Option<Coverage>,
}

/// Boots one kernel and loads the project's modules in the order of dkms.conf, then unloads
/// everything in reverse; what the machine prints goes to `console`.
pub(super) fn load(
    context: &Context,
    args: &InsmodArgs,
    tested: &TestedModules,
    prepared: &Prepared,
    console: &Utf8Path,
) -> Result<Loaded> {
    let tree = boot::tree(&prepared.kdir)?;
    let code = args.coverage.as_ref().map(|_| RecordingCode::read(&tested.objects)).transpose()?;
    let payload = payload(context, &tree, &tested.stock, tested.modules()?, args)?;
    let options = Options { warm: !args.cold, events: args.events.clone(), ..args.machine.options() };
    let mut run = boot::boot(context, &prepared.kdir, &payload, console, &options)?;
    let mut tests = boot::tests_in(&run);
    tests.tests.extend(test_programs::results(&payload, &run));
    let lost = boot::lost_objects(&payload, &run);
    run.judgement = judged_with(run.judgement, &tests, &lost);
    let trace = match run.judgement.verdict {
        Verdict::Pass => None,
        _ => trace(context, prepared, tested, &run)?,
    };
    let coverage = match &code {
        None => None,
        Some(code) => measured(context, tested, code, &payload, &run)?,
    };
    Ok(Loaded { run, tests, lost, trace, coverage })
}

/// The first trace on the console, led back to the source. Where that cannot be done, it is said,
/// and the trace is shown as the kernel printed it.
fn trace(
    context: &Context,
    prepared: &Prepared,
    tested: &TestedModules,
    run: &Run,
) -> Result<Option<DecodedTrace>> {
    let console = fs_err::read(&run.console_log)?;
    let Some(trace) = Trace::first_in(&String::from_utf8_lossy(&console)) else { return Ok(None) };
    let decoded = DecodedTrace::of(context, prepared, &tested.objects, &trace);
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
            let reason = format!("tests failed: {}", bad.join(", "));
            Judgement { verdict: Verdict::StepFailed, reason, ..judgement }
        }
        _ => judgement,
    }
}

/// Inserts `modules`, after the `stock` ones, runs the tests, and removes everything in reverse.
pub(in crate::commands) fn payload(
    context: &Context,
    tree: &ModuleTree,
    stock: &[String],
    modules: Vec<GuestModule>,
    args: &InsmodArgs,
) -> Result<Payload> {
    let mut payload = Payload::new(tree)?;
    let stock: Vec<&str> = stock.iter().map(String::as_str).collect();
    payload.insert_stock(tree, &stock)?;
    let params = args.machine.params.join(" ");
    let modules = in_order(modules)?;
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    for module in modules {
        payload.insert_with(tree, module, &params)?;
    }
    run_tests(context, tree, &mut payload, args)?;
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
    if args.coverage.is_some() {
        payload.record_coverage();
    }
    Ok(payload)
}

/// Takes the test programs along, and runs them one after another.
fn run_tests(context: &Context, tree: &ModuleTree, payload: &mut Payload, args: &InsmodArgs) -> Result<()> {
    let (architecture, report) = (tree.architecture(), &context.report);
    let mut files = ProgramFiles::default();
    let mut names = BTreeSet::new();
    for file in &args.tests {
        let name = file.file_name().ok_or_else(|| Failure::refused(file.as_str(), "is no file"))?;
        if !names.insert(name) {
            let reason = format!("has the same name as another --test, {name}");
            return Err(Failure::refused(file.as_str(), reason).remedy("rename one of them").into());
        }
        files.add(file, &test_programs::place(name), architecture, report)?;
        test_programs::run(payload, name);
    }
    for file in &args.with {
        let place = std::path::absolute(file)?;
        let place = Utf8Path::from_path(&place).context("its path is no UTF-8")?;
        files.add_any(file, place.as_str(), architecture, report)?;
    }
    payload.files(files.into_files());
    Ok(())
}
