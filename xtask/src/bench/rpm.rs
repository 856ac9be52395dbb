// SPDX-License-Identifier: GPL-2.0
//! `rpm` beside rpmbuild with the same spec; and packages for several kernels, two at a time beside one after another.

use anyhow::Result;

use super::Results;
use super::judgement::Judgement;
use super::scratch::Scratch;
use super::timing::{Subject, in_turns};
use crate::context::{Context, repository};
use crate::kernel::kdir::Kdir;
use crate::process::Cmd;
use crate::project::Project;
use crate::rpm::build::{Rpmbuild, Signing};
use crate::rpm::source::{self, Ready};
use crate::rpm::source_date;
use crate::rpm::spec::Spec;

/// How much longer than rpmbuild the tool may take.
const OVERHEAD: f64 = 1.05;

/// What part of the time of one after another two at a time may take.
const PARALLEL: f64 = 0.65;

/// Packages of the second measure: two releases of three flavours, where so many kernels are prepared.
const KERNELS: usize = 6;

/// Times both.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let scratch = Scratch::new(context, "rpm")?;
    let project = Project::open(&repository())?;
    let mut results = overhead(context, &project, &scratch, runs)?;
    results.extend(parallel(context, &project, &scratch)?);
    Ok(results)
}

fn overhead(context: &Context, project: &Project, scratch: &Scratch, runs: usize) -> Result<Results> {
    let ready = Ready::provide(context, project, None)?;
    let spec = Spec::of(project)?;
    let date = source_date(&project.dir, &context.report)?;
    let sources = source::packages(context, project, &spec, std::slice::from_ref(&ready), date)?;
    let signing = Signing::default();
    let rpmbuild = Rpmbuild::new(context, project, "bench", &sources[0], &ready, &signing)?;
    let by_hand = rpmbuild.command(&["-bb"], context.jobs)?;
    let tool = tool(context, scratch, context.jobs, &[ready.target.release.as_str()]);
    let report = &context.report;
    let run = |cmd: Cmd| move || cmd.run(report).map(drop);
    let subjects = vec![
        Subject::new("xtask rpm", run(tool)),
        Subject::new("rpmbuild -bb of the same spec", run(by_hand)),
    ];
    let timings = in_turns(report, runs, subjects)?;
    let judgements = vec![Judgement::ratio(&timings[0], &timings[1], OVERHEAD)];
    Ok(Results { timings, judgements })
}

fn parallel(context: &Context, project: &Project, scratch: &Scratch) -> Result<Results> {
    let fits = |kdir: &Kdir| {
        kdir.stamp().rust_symbols > 0
            && kdir.config().is_ok_and(|config| project.excludes(kdir.release(), &config).is_none())
    };
    let mut kernels: Vec<Kdir> = Kdir::all(context).into_iter().filter(fits).collect();
    kernels.sort_by(|a, b| a.release().cmp(b.release()));
    kernels.truncate(KERNELS);
    let releases: Vec<&str> = kernels.iter().map(|kdir| kdir.release().as_str()).collect();
    let what = format!("{} packages, --jobs 2", releases.len());
    if releases.len() < 2 || context.jobs < 2 {
        let why = "needs two prepared kernels and two processors".to_owned();
        return Ok(Results {
            timings: Vec::new(),
            judgements: vec![Judgement::skipped(&what, PARALLEL, why)],
        });
    }
    let report = &context.report;
    let run = |cmd: Cmd| move || cmd.run(report).map(drop);
    let subjects = vec![
        Subject::new(&what, run(tool(context, scratch, 2, &releases))),
        Subject::new("the same, --jobs 1", run(tool(context, scratch, 1, &releases))),
    ];
    // Minutes each: once has to do.
    let timings = in_turns(report, 1, subjects)?;
    let judgements = vec![Judgement::ratio(&timings[0], &timings[1], PARALLEL)];
    Ok(Results { timings, judgements })
}

/// The tool, packaging the guard for `releases`.
fn tool(context: &Context, scratch: &Scratch, jobs: usize, releases: &[&str]) -> Cmd {
    let cmd = Cmd::new(context.program.as_str())
        .args(["rpm", "--jobs", &jobs.to_string(), "--output"])
        .arg(scratch.path())
        .cwd(repository());
    releases.iter().fold(cmd, |cmd, release| cmd.arg("--kernel").arg(release))
}
