// SPDX-License-Identifier: GPL-2.0
//! `insmod` to the verdict, from a cold boot and from a saved machine, beside virtme-ng doing the
//! same from a boot.

use anyhow::{Context as _, Result};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, in_turns};
use crate::bench::virtme_ng::{Guest, VirtmeNg};
use crate::repository;
use kernel::context::Context;
use kernel::prepare::{self, Prepared};
use project::Project;
use project::build::{Built, build};
use report::failure::remedy_of;
use report::process::Cmd;
use vm::accelerator::Accelerator;
use vm::{boot, probe};

/// Seconds from the start of the tool to its end, and what part of virtme-ng's time that may be,
/// with a boot.
const COLD: (f64, f64) = (2.3, 0.25);

/// The same from a saved machine.
const WARM: (f64, f64) = (0.6, 0.08);

/// Times both, on the same kernel and with the same accelerator. Where virtme-ng cannot be had, the
/// comparison is skipped and says why.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let project = Project::open(&repository())?;
    let built = build(context, &project, &prepared)?;
    let tool = |words: &[&str]| Cmd::new(&context.program).arg("insmod").args(words).cwd(repository());
    let (cold, warm) = (tool(&["--cold"]), tool(&[]));
    let report = &context.report;
    let ours = || {
        [("xtask insmod --cold", &cold), ("xtask insmod, from a saved machine", &warm)]
            .map(|(what, tool)| Subject::new(what, || tool.run(report).map(drop)))
    };
    let compared = guest(context, &prepared, &project, &built).and_then(|guest| {
        let theirs = Subject::new(guest.shown(), || guest.run(report));
        in_turns(report, runs, ours().into_iter().chain([theirs]).collect())
    });
    let limits = [COLD, WARM];
    let (timings, skipped) = match compared {
        Ok(timings) => (timings, None),
        Err(error) => (in_turns(report, runs, ours().into())?, Some(why(&error))),
    };
    let judge = |(timing, (seconds, ratio))| {
        let beside = match &skipped {
            None => LimitCheck::ratio(timing, &timings[2], ratio),
            Some(why) => LimitCheck::skipped(format!("{} / virtme-ng", timing.what), ratio, why.clone()),
        };
        [LimitCheck::seconds(timing, seconds), beside]
    };
    let judgements = timings.iter().zip(limits).flat_map(judge).collect();
    Ok(Results { timings, judgements })
}

/// virtme-ng, about to load the guard.
fn guest(context: &Context, prepared: &Prepared, project: &Project, built: &Built) -> Result<Guest> {
    let virtme_ng = VirtmeNg::provide(context)?;
    let emulated = accelerator(context, prepared)? == Accelerator::Tcg;
    let object = built.objects.first().context("the build made no module")?;
    Guest::new(context, virtme_ng, &prepared.kdir, &project.loads, object, emulated)
}

/// How the tool itself boots here.
fn accelerator(context: &Context, prepared: &Prepared) -> Result<Accelerator> {
    probe::choose(context, prepared.kdir.stamp().architecture, &boot::vmlinux(context, &prepared.kdir)?)
}

/// An error as a table has room for it: the last word on why, and what to do.
fn why(error: &anyhow::Error) -> String {
    let cause = error.root_cause().to_string();
    let remedy = remedy_of(error).map(|remedy| format!("; remedy: {remedy}")).unwrap_or_default();
    let lines: Vec<&str> = cause.lines().map(str::trim).collect();
    lines.join(" ") + &remedy
}
