// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod insmod`: boots the very `.ko` that was built and gives a verdict.

use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::commands::build::BuildArgs;
use crate::commands::{build, each_once};
use clap::Args;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kernel::prepare::{self, Prepared};
use kmodfile::release::Release;
use project::Project;
use project::build::Built;
use report::{durable, seconds, table};
use vm::boot::{self, Options};
use vm::init::OwnInit;
use vm::ktap::{KtapReport, TestCounts, TestOutcome, TestResult};
use vm::leaks::{self, LostObject};
use vm::machine::Run;
use vm::modules::{GuestModule, ModuleTree, in_order};
use vm::payload::Payload;
use vm::verdict::{Judgement, Verdict};
use vm_protocol::GuestStep;

/// `cargo kmod insmod`.
#[derive(Clone, Debug, Args)]
pub struct InsmodArgs {
    /// What to build and boot.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Parameters given to the module, such as mode=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Seconds after which the machine is stopped
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub memory: u32,
    /// Words added to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Build for, and boot, the kernel that stands for the chosen one and finds faults: KASAN,
    /// UBSAN, lockdep, kmemleak; KUnit suites in the modules run there
    ///
    /// It is built when it is wanted for the first time, from the same source and configuration,
    /// which takes some twenty minutes on two processors.
    #[arg(long, conflicts_with_all = ["all_kernels", "secure_boot"])]
    pub sanitize: bool,
    /// Write the results of KUnit suites to this file, as KTAP
    #[arg(long, value_name = "FILE", requires = "sanitize")]
    pub ktap: Option<Utf8PathBuf>,
    /// Boot the real Secure Boot chain three times: is the module refused unsigned, refused while
    /// its certificate is not enrolled, and loaded once it is? With a key made for the run, or that
    /// of --sign-key
    #[arg(long)]
    pub secure_boot: bool,
}

/// The outcome for one kernel.
#[derive(Serialize)]
struct Outcome {
    release: Release,
    verdict: Verdict,
    reason: String,
    boot_seconds: Option<f64>,
    seconds: f64,
    said: Vec<String>,
    /// The tests that ran in the modules.
    #[serde(skip_serializing_if = "KtapReport::is_empty")]
    tests: KtapReport,
    /// What kmemleak found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<LostObject>,
    console: Utf8PathBuf,
}

/// Builds, boots, loads, unloads; the first verdict that is no pass is the exit status.
pub fn run(context: &Context, args: &InsmodArgs) -> Result<()> {
    require_machines(context, &args.build)?;
    let mut outcomes = Vec::new();
    let batch = build::all(context, &wanted(context, args)?, |project, prepared, built| {
        let Loaded { run, tests, lost } = load(context, args, project, prepared, built)?;
        outcomes.push(outcome(project, built, &run, tests, lost));
        boot::require_pass(&run, built.release.as_str())
    })?;
    if let Some(file) = args.ktap.as_ref().filter(|_| !outcomes.is_empty()) {
        durable::replace(file, ktap(&outcomes).text().as_bytes())?;
    }
    if !outcomes.is_empty() {
        context.report.data(&outcomes);
        outcomes.iter().for_each(|outcome| context.report.say(&shown(outcome)));
    }
    batch.first_error.map_or(Ok(()), Err)
}

/// What booting the kernels asked for takes of this machine, before minutes go into building for
/// them: QEMU, and the init that is inside this program.
pub(super) fn require_machines(context: &Context, args: &BuildArgs) -> Result<()> {
    let architectures = args.architectures(context);
    for architecture in &architectures {
        OwnInit::of(*architecture)?;
    }
    let qemu = architectures.into_iter().map(vm::qemu::programs);
    args.ensure_programs(context)?;
    programs::ensure(context, &qemu.collect::<Vec<_>>())
}

/// What is built, for the sanitizing kernels that stand for those asked for.
fn wanted(context: &Context, args: &InsmodArgs) -> Result<BuildArgs> {
    let mut build = args.build.clone();
    if !args.sanitize {
        return Ok(build);
    }
    let twin = |of: Option<&Release>| -> Result<AskedKernel> {
        Ok(AskedKernel::Release(prepare::sanitizing_release(context, of)?))
    };
    build.kernels = each_once(&build.kernels)
        .iter()
        .map(|asked| twin(Some(&asked.named(context, Utf8Path::new("/"))?)))
        .collect::<Result<_>>()?;
    if build.kernels.is_empty() {
        build.kernels.push(twin(None)?);
    }
    Ok(build)
}

/// What came of loading the project's modules.
struct Loaded {
    run: Run,
    tests: KtapReport,
    lost: Vec<LostObject>,
}

/// Boots one kernel and loads the project's modules in the order of dkms.conf, then unloads
/// everything in reverse.
fn load(
    context: &Context,
    args: &InsmodArgs,
    project: &Project,
    prepared: &Prepared,
    built: &Built,
) -> Result<Loaded> {
    let tree = boot::tree(&prepared.kdir)?;
    let modules =
        built.objects.iter().map(|object| GuestModule::read(&object.file)).collect::<Result<Vec<_>>>()?;
    let payload = payload(&tree, project, modules, args)?;
    let console = built.console_log();
    let options = Options {
        memory: args.memory,
        append: args.append.clone(),
        limit: args.limit.map(Duration::from_secs),
    };
    let mut run = boot::boot(context, &prepared.kdir, &payload, &console, &options)?;
    let (tests, lost) = (boot::tests_in(&run), boot::lost_objects(&payload, &run));
    run.judgement = judged_with(run.judgement, &tests, &lost);
    Ok(Loaded { run, tests, lost })
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
pub(super) fn payload(
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

fn outcome(project: &Project, built: &Built, run: &Run, tests: KtapReport, lost: Vec<LostObject>) -> Outcome {
    let said = project.modules.iter().flat_map(|module| boot::said_by(run, &module.name.replace('-', "_")));
    Outcome {
        release: built.release.clone(),
        verdict: run.judgement.verdict,
        reason: run.judgement.reason.clone(),
        boot_seconds: run.boot.map(|boot| boot.as_secs_f64()),
        seconds: run.wall.as_secs_f64(),
        said: said.map(str::to_owned).collect(),
        tests,
        lost,
        console: run.console_log.clone(),
    }
}

/// The results for each kernel, as one run: its modules' suites are what it is made of.
fn ktap(outcomes: &[Outcome]) -> KtapReport {
    let one = |outcome: &Outcome| {
        let passed = outcome.verdict == Verdict::Pass;
        let result = if passed { TestOutcome::Passed } else { TestOutcome::Failed };
        let mut test = TestResult::new(outcome.release.as_str(), result, outcome.tests.tests.clone());
        test.diagnostics.clone_from(&outcome.tests.problems);
        if !passed {
            test.diagnostics.extend(outcome.reason.lines().map(|line| line.trim().to_owned()));
        }
        test
    };
    KtapReport { tests: outcomes.iter().map(one).collect(), problems: Vec::new() }
}

fn shown(outcome: &Outcome) -> String {
    let wall = seconds(Duration::from_secs_f64(outcome.seconds));
    let said = outcome.said.iter().map(|line| format!("\n    {line}")).collect::<String>();
    let lost: String = outcome.lost.iter().map(|object| format!("\n    lost: {object}")).collect();
    format!("{}  {}  {wall}{said}{lost}{}", outcome.release, outcome.verdict, shown_tests(&outcome.tests))
}

/// A row for each suite, then what is to be said of tests that did not pass.
fn shown_tests(tests: &KtapReport) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let mut rows = vec![["    SUITE", "PASSED", "FAILED", "SKIPPED"].map(str::to_owned).to_vec()];
    rows.extend(tests.tests.iter().map(|suite| {
        let TestCounts { passed, failed, skipped } = suite.counts();
        let counts = [passed, failed, skipped].map(|count| count.to_string());
        std::iter::once(format!("    {}", suite.name)).chain(counts).collect()
    }));
    let mut text = format!("\n{}", table(&rows));
    for suite in &tests.tests {
        bad_ones(suite, &suite.name, &mut text);
    }
    text.extend(tests.problems.iter().map(|problem| format!("\n    {problem}")));
    text
}

fn bad_ones(test: &TestResult, name: &str, text: &mut String) {
    if test.subtests.is_empty() && test.is_bad() {
        text.push_str(&format!("\n    failed: {name}"));
        text.extend(test.diagnostics.iter().map(|line| format!("\n        {line}")));
    }
    for inner in &test.subtests {
        bad_ones(inner, &format!("{name}.{}", inner.name), text);
    }
}
