// SPDX-License-Identifier: GPL-2.0
//! `insmod` from a cold boot to the verdict, beside virtme-ng doing the same.

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

/// Seconds from the start of the tool to its end.
const LIMIT: f64 = 6.5;

/// What part of virtme-ng's time that may be.
const RATIO: f64 = 0.25;

/// Times both, on the same kernel and with the same accelerator. Where virtme-ng cannot be had, the
/// comparison is skipped and says why.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let project = Project::open(&repository())?;
    let built = build(context, &project, &prepared)?;
    let tool = Cmd::new(&context.program).arg("insmod").cwd(repository());
    let report = &context.report;
    let ours = || Subject::new("xtask insmod", || tool.run(report).map(drop));
    let compared = guest(context, &prepared, &project, &built).and_then(|guest| {
        let theirs = Subject::new(guest.shown(), || guest.run(report));
        in_turns(report, runs, vec![ours(), theirs])
    });
    match compared {
        Ok(timings) => {
            let judgements = vec![
                LimitCheck::seconds(&timings[0], LIMIT),
                LimitCheck::ratio(&timings[0], &timings[1], RATIO),
            ];
            Ok(Results { timings, judgements })
        }
        Err(error) => {
            let timings = in_turns(report, runs, vec![ours()])?;
            let skipped = LimitCheck::skipped("xtask insmod / virtme-ng", RATIO, why(&error));
            let judgements = vec![LimitCheck::seconds(&timings[0], LIMIT), skipped];
            Ok(Results { timings, judgements })
        }
    }
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
