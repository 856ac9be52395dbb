// SPDX-License-Identifier: GPL-2.0
//! What the guard adds to opening files on a share: in guest instructions, with it and without it,
//! on the same mount.
//!
//! QEMU counts instructions and lets the guest's clock go on by a nanosecond with each, so that
//! what the kernel writes down of how long its tasks ran are instructions, and a busy host changes
//! nothing.

use anyhow::{Context as _, Result, ensure};
use guest::ShareStep;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::Timing;
use crate::client::{
    ClientSteps as _, SampleMachine as Machine, SamplePayload as Payload, SampleStep as Step,
};
use crate::init::init;
use crate::repository;
use crate::share::{self, Share};
use kernel::context::Context;
use kernel::machine::programs;
use kernel::prepare;
use project::Project;
use project::build::build;
use vm::accelerator::Accelerator;
use vm::boot;
use vm::limits::Limits;
use vm::modules::GuestModule;
use vm::run::Run;
use vm::verdict::Verdict;
use vm_protocol::Expect;

/// What part of the instructions without the guard those with it may be.
const RATIO: f64 = 1.02;

/// How many files are opened for a figure.
const FILES: u32 = 1000;

/// Mount options by which each open and each close goes to the server.
const OPTIONS: &str = "actimeo=0,closetimeo=0,nolease";

/// Counts, in turns, in one machine.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    programs::ensure(context, &[crate::share::PROGRAMS])?;
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let built = build(context, &Project::open(&repository())?, &prepared)?;
    let guard = GuestModule::read(&built.objects.first().context("the build made no module")?.file)?;
    let server = Share::serve(&context.report)?;
    for number in 0..FILES {
        fs_err::write(server.files().join(number.to_string()), "")?;
    }
    let tree = boot::tree(&prepared.kdir)?;
    let mut payload = Payload::with_init(init(context, tree.architecture())?, &tree)?;
    payload.network(&tree)?.insert_stock(&tree, &["cifs"])?.cifs_companions(&tree)?;
    payload.mount_share(share::NAME, server.port(), &format!("{},{OPTIONS}", share::OPTIONS), "/mnt");
    let turns = turns(&mut payload, runs, &guard);
    payload.step(Step::Unmount { target: "/mnt".to_owned() }).remove("cifs");

    let vmlinux = boot::vmlinux(context, &prepared.kdir)?;
    let log = built.console_log().with_file_name("bench-guard.log");
    fs_err::create_dir_all(log.parent().context("a log without a directory")?)?;
    let mut machine = Machine::new(&vmlinux, &payload, &log);
    machine.accelerator = Some(Accelerator::Tcg);
    machine.counted = true;
    machine.limits = Limits { hard: Limits::default().hard * 4, ..Limits::default() };
    let step = context.report.step("Counting", "guest instructions, with the guard and without");
    let run = machine.run(context, |_, _| {})?;
    step.done("Counted", "guest instructions, with the guard and without");
    ensure!(run.judgement.verdict == Verdict::Pass, "the machine: {}; see {log}", run.judgement.reason);
    results(&run, &turns)
}

/// The steps that bring back a figure, without the guard and with it.
struct Turns {
    without: Vec<usize>,
    with: Vec<usize>,
}

/// Opens the files once to warm up, and then in turns.
fn turns(payload: &mut Payload, runs: usize, guard: &GuestModule) -> Turns {
    let open = |payload: &mut Payload| {
        payload.step(ShareStep::OpenFiles { directory: "/mnt".to_owned(), count: FILES });
        payload.plan("").steps.len() - 1
    };
    let mut turns = Turns { without: Vec::new(), with: Vec::new() };
    open(payload);
    for _ in 0..runs {
        turns.without.push(open(payload));
        payload.insert(guard.clone(), "", Expect::Success);
        turns.with.push(open(payload));
        payload.remove(&guard.name);
    }
    turns
}

/// What was counted, as seconds of the guest's clock.
fn results(run: &Run, turns: &Turns) -> Result<Results> {
    let timing = |what: &str, steps: &[usize]| {
        let seconds = |step: &usize| -> Result<f64> {
            let text = run.output(*step).with_context(|| format!("step {step} brought nothing back"))?;
            let instructions: f64 = text.trim().parse().with_context(|| format!("no figure: {text}"))?;
            ensure!(instructions > 0.0, "step {step} took no instruction");
            Ok(instructions / 1e9)
        };
        let what = format!("{FILES} opens {what} the guard, 1 ns an instruction");
        Ok::<_, anyhow::Error>(Timing::new(what, steps.iter().map(seconds).collect::<Result<_>>()?))
    };
    let (with, without) = (timing("with", &turns.with)?, timing("without", &turns.without)?);
    let judgements = vec![LimitCheck::ratio(&with, &without, RATIO)];
    Ok(Results { timings: vec![with, without], judgements })
}
