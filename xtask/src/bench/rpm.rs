// SPDX-License-Identifier: GPL-2.0
//! `rpm` beside rpmbuild with the same spec; and packages for several kernels, two at a time beside
//! rpmbuild for one after another.

use std::cmp::Reverse;

use anyhow::Result;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch::Scratch;
use crate::bench::timing::{Subject, in_turns};
use crate::repository;
use deploy::rpm::build::{Rpmbuild, Signing};
use deploy::rpm::ready::Ready;
use deploy::rpm::source;
use deploy::rpm::source_date;
use deploy::rpm::spec::KmodSpec;
use deploy::rpm::target::KmodTarget;
use kernel::context::Context;
use kernel::kdir::Kdir;
use project::Project;
use report::process::Cmd;

/// How much longer than rpmbuild the tool may take.
const OVERHEAD: f64 = 1.05;

/// What part of the time of one after another two at a time may take.
const PARALLEL: f64 = 0.65;

/// Packages of the second measure: two releases of three flavours, where so many kernels are
/// prepared.
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
    let spec = KmodSpec::of(project, &context.report)?;
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
    let judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], OVERHEAD)];
    Ok(Results { timings, judgements })
}

fn parallel(context: &Context, project: &Project, scratch: &Scratch) -> Result<Results> {
    let fits = |kdir: &Kdir| {
        kdir.stamp().rust_symbols > 0
            && kdir.stamp().origin.is_archive()
            && kdir.config().is_ok_and(|config| project.excludes(kdir.release(), &config).is_none())
    };
    let prepared = Kdir::all(&context.cache, &context.report).into_iter().filter(fits);
    let targets = most_flavours(prepared.map(|kdir| KmodTarget::of(kdir.release())).collect());
    let what = format!("{} packages, --jobs 2", targets.len());
    if targets.len() < 2 || context.jobs < 2 {
        let why = "needs two prepared kernels and two processors".to_owned();
        return Ok(Results {
            timings: Vec::new(),
            judgements: vec![LimitCheck::skipped(&what, PARALLEL, why)],
        });
    }
    let releases: Vec<&str> = targets.iter().map(|target| target.release.as_str()).collect();
    let report = &context.report;
    let at_once = tool(context, scratch, 2, &releases);
    let ready = targets.iter().map(|target| Ready::provide(context, project, Some(target.clone())));
    let ready = ready.collect::<Result<Vec<_>>>()?;
    let date = source_date(&project.dir, report)?;
    let sources = source::packages(context, project, &KmodSpec::of(project, &context.report)?, &ready, date)?;
    let signing = Signing::default();
    let each = sources.iter().flat_map(|source| source.kernels.iter().map(move |ready| (source, ready)));
    let each = each.map(|(source, ready)| Rpmbuild::new(context, project, "bench", source, ready, &signing));
    let each = each.collect::<Result<Vec<_>>>()?;
    let by_hand = each.iter().map(|rpmbuild| rpmbuild.command(&["-bb"], context.jobs));
    let by_hand = by_hand.collect::<Result<Vec<_>>>()?;
    let subjects = vec![
        Subject::new(&what, || at_once.run(report).map(drop)),
        Subject::new("rpmbuild -bb for each, one after another", || {
            by_hand.iter().try_for_each(|cmd| cmd.run(report).map(drop))
        }),
    ];
    // Minutes each: once has to do.
    let timings = in_turns(report, 1, subjects)?;
    let judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], PARALLEL)];
    Ok(Results { timings, judgements })
}

/// Of all kernels those of the versions that have the most flavours, [`KERNELS`] at most.
fn most_flavours(mut all: Vec<KmodTarget>) -> Vec<KmodTarget> {
    let versions: Vec<String> = all.iter().map(|target| target.kversion.clone()).collect();
    let flavours =
        |target: &KmodTarget| versions.iter().filter(|version| **version == target.kversion).count();
    all.sort_by_key(|target| {
        (Reverse(flavours(target)), target.kversion.clone(), target.release.to_string())
    });
    all.truncate(KERNELS);
    all
}

/// The tool, packaging the guard for `releases`.
fn tool(context: &Context, scratch: &Scratch, jobs: usize, releases: &[&str]) -> Cmd {
    let cmd = Cmd::new(context.program.as_str())
        .args(["rpm", "--jobs", &jobs.to_string(), "--output"])
        .arg(scratch.path())
        .cwd(repository());
    releases.iter().fold(cmd, |cmd, release| cmd.arg("--kernel").arg(release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_several_flavours_come_first() {
        let target = |(version, flavour): (&str, &str)| {
            KmodTarget::of(&format!("{version}+deb13-{flavour}").parse().unwrap())
        };
        let all = [
            ("7.1", "cloud"),
            ("7.2", "amd64"),
            ("7.2", "rt"),
            ("7.3", "rt"),
            ("7.4", "amd64"),
            ("7.4", "rt"),
        ];
        let chosen = most_flavours(all.map(target).to_vec());
        let chosen: Vec<&str> = chosen.iter().map(|target| target.release.as_str()).take(4).collect();
        assert_eq!(chosen, ["7.2+deb13-amd64", "7.2+deb13-rt", "7.4+deb13-amd64", "7.4+deb13-rt"]);
    }
}
