// SPDX-License-Identifier: GPL-2.0
//! `kernel prepare` from nothing but a build root, beside the bare make steps.

use anyhow::Result;

use crate::bench::Results;
use crate::bench::cold::ColdCache;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, Timing, once};
use kernel::context::Context;
use kernel::make::{CONFIGURE, PREPARE, make_step};
use kernel::prepare::{self, Prepared};
use kernel::root::Access;

/// How much longer than the make steps alone it may take.
const RATIO: f64 = 1.15;

/// Prepares the default kernel once in a cache of its own, which shares only the build roots with
/// the user's: indexes and packages are fetched, unpacked, made and proven. The same make lines run
/// over source that is unpacked already, in an empty build directory, before it and after it:
/// minutes pass, in which a machine's speed may change. Minutes each, so `--runs` does not count.
pub fn measure(context: &Context) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let release = prepared.kdir.release().clone();
    let cold = ColdCache::new(context, "prepare", &["roots"])?;
    let bare = || make_steps(context, &cold, &prepared);
    let report = &context.report;
    // Not counted: it reads the compilers from the disk, which the first that is timed would do for
    // the others.
    once(report, Subject::new("the bare make steps, not counted", bare))?;
    let before = once(report, Subject::new("the bare make steps, before", bare))?;
    let tool = cold.tool(context).args(["kernel", "prepare", release.as_str()]);
    let ours = once(report, Subject::new("kernel prepare, cold", || tool.run(report).map(drop)))?;
    let made = cold.kdir(context, &release)?;
    let after = once(report, Subject::new("the bare make steps, after", bare))?;
    let theirs = Timing::new("the bare make steps", [before.runs, after.runs].concat());
    let within = Timing::new("make within kernel prepare", vec![made.stamp().make_seconds]);
    let judgements = vec![LimitCheck::ratio(&ours, &theirs, RATIO)];
    Ok(Results { timings: vec![ours, theirs, within], judgements })
}

/// The steps as [`prepare`] runs them, in the same root, with nothing beside them.
fn make_steps(context: &Context, cold: &ColdCache, prepared: &Prepared) -> Result<()> {
    let kdir = &prepared.kdir;
    let build = cold.path().join("bare");
    fs_err::create_dir(&build)?;
    for file in [".config", "Module.symvers", "vmlinux"] {
        if kdir.build().join(file).exists() {
            fs_err::copy(kdir.build().join(file), build.join(file))?;
        }
    }
    let (source, config) = (kdir.source(), kdir.config()?);
    let access = Access::default().read(&source).write(&build);
    for targets in [CONFIGURE, PREPARE] {
        let make = make_step(kdir.release(), &config, &source, &build, targets, context.jobs);
        prepared.root.inside(context, make, &access).run(&context.report)?;
    }
    Ok(fs_err::remove_dir_all(build)?)
}
