// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask trial`.

use anyhow::Result;
use clap::Args;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::machine::programs;
use kernel::prepare;
use kmodfile::release::Release;
use report::durable;
use report::failure::{Exit, Failure};

use crate::repository;
use crate::trial::attempt::{TrialProjects, attempt};
use crate::trial::page;
use crate::trial::record::{TrialOutcome, TrialRecord, TriedKernel};

/// `cargo xtask trial`.
#[derive(Clone, Debug, Args)]
pub struct TrialArgs {
    /// The kernels, as `uname -r` prints them [default: those on record]
    ///
    /// One that is not prepared is prepared from the archive; one from source, or a sanitizing
    /// one, is prepared before.
    releases: Vec<Release>,
}

/// Tries the kernels, and writes down what came of each at once.
pub fn run(context: &Context, args: &TrialArgs) -> Result<()> {
    let file = TrialRecord::file(&repository());
    let record = TrialRecord::read(&file)?;
    let recorded = || record.kernels().iter().map(|kernel| kernel.release.clone()).collect();
    let releases: Vec<Release> = if args.releases.is_empty() { recorded() } else { args.releases.clone() };
    if context.dry_run {
        releases.iter().for_each(|release| context.report.say(&format!("would try {release}")));
        return Ok(());
    }
    known::ensure_programs(context)?;
    for architecture in releases.iter().map(|release| prepare::architecture_of(&context.cache, Some(release)))
    {
        programs::ensure(context, &[vm::qemu::programs(architecture)])?;
    }
    let projects = TrialProjects::new(context)?;
    let mut unprepared = Vec::new();
    for release in &releases {
        match attempt(context, release, &projects) {
            Ok(tried) => {
                note(context, tried)?;
            }
            Err(error) => {
                context.report.warn(&format!("{error:#}"));
                unprepared.push(release.as_str());
            }
        }
    }
    let record = TrialRecord::read(&file)?;
    context.report.data(&record);
    judge(&record, &releases, &unprepared)
}

/// Writes down what came of one kernel. Others may be tried meanwhile.
fn note(context: &Context, tried: TriedKernel) -> Result<()> {
    let _lock = context.cache.lock("record of trials", &context.report)?;
    let file = TrialRecord::file(&repository());
    let mut record = TrialRecord::read(&file)?;
    record.note(tried);
    record.write(&file)?;
    durable::replace(&page::file(&repository()), page::page(&record).as_bytes())
}

/// Fails where a kernel could not be prepared, or a module did not pass.
fn judge(record: &TrialRecord, releases: &[Release], unprepared: &[&str]) -> Result<()> {
    let tried = record.kernels().iter().filter(|kernel| releases.contains(&kernel.release));
    let bad = tried.filter(|kernel| has_failed(kernel)).map(|kernel| kernel.release.as_str());
    let bad: Vec<&str> = bad.chain(unprepared.iter().copied()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let reason = format!("did not pass in all: {}", bad.join(", "));
    Err(Failure::new(Exit::Failed, "trial", reason).remedy("docs/kernels.md has what each said").into())
}

fn has_failed(kernel: &TriedKernel) -> bool {
    let outcomes = [&kernel.c, &kernel.rust, &kernel.guard];
    outcomes.iter().any(|outcome| matches!(outcome, TrialOutcome::Failed { .. }))
}
