// SPDX-License-Identifier: GPL-2.0
//! `kernel prepare` from nothing but a build root, beside the bare make steps.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::ValueEnum as _;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch::Scratch;
use crate::bench::timing::{Subject, Timing, once};
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::make::{CONFIGURE, PREPARE, make_step};
use kernel::prepare::{self, Prepared};
use kernel::root::Access;
use kmodfile::release::Release;
use report::Report;
use report::cache::Cache;
use report::process::Cmd;

/// How much longer than the make steps alone it may take.
const RATIO: f64 = 1.15;

/// Prepares the default kernel once in a cache of its own, which shares only the build roots with
/// the user's: indexes and packages are fetched, unpacked, made and proven. The same make lines run
/// over source that is unpacked already, in an empty build directory, before it and after it:
/// minutes pass, in which a machine's speed may change. Minutes each, so `--runs` does not count.
pub fn measure(context: &Context) -> Result<Results> {
    let prepared = prepare::provide(context, None, context.root_fs)?;
    let release = prepared.kdir.release().clone();
    let cold = ColdCache::new(context)?;
    let bare = || cold.make_steps(context, &prepared);
    let report = &context.report;
    // Not counted: it reads the compilers from the disk, which the first that is timed would do for
    // the others.
    once(report, Subject::new("the bare make steps, not counted", bare))?;
    let before = once(report, Subject::new("the bare make steps, before", bare))?;
    let tool = cold.tool(context, &release);
    let ours = once(report, Subject::new("kernel prepare, cold", || tool.run(report).map(drop)))?;
    let made = cold.kdir(context, &release)?;
    let after = once(report, Subject::new("the bare make steps, after", bare))?;
    let theirs = Timing::new("the bare make steps", [before.runs, after.runs].concat());
    let within = Timing::new("make within kernel prepare", vec![made.stamp().make_seconds]);
    let judgements = vec![LimitCheck::ratio(&ours, &theirs, RATIO)];
    Ok(Results { timings: vec![ours, theirs, within], judgements })
}

/// A cache that shares nothing with the user's but the build roots.
struct ColdCache {
    scratch: Scratch,
}

impl ColdCache {
    fn new(context: &Context) -> Result<Self> {
        let cold = Self { scratch: Scratch::new(context, "prepare")? };
        let roots = context.cache.path("roots");
        fs_err::create_dir_all(&roots)?;
        fs_err::create_dir(cold.dir())?;
        symlink(roots, cold.dir().join("roots"))?;
        Ok(cold)
    }

    fn dir(&self) -> Utf8PathBuf {
        self.scratch.path().join("cargo-kmod")
    }

    /// The tool, told to prepare `release` here.
    fn tool(&self, context: &Context, release: &Release) -> Cmd {
        let root_fs = context.root_fs.to_possible_value();
        let root_fs = root_fs.map(|value| value.get_name().to_owned()).unwrap_or_default();
        Cmd::new(&context.program)
            .args(["kernel", "prepare", release.as_str(), "--root-fs", &root_fs])
            .args(["--jobs", &context.jobs.to_string()])
            .env("XDG_CACHE_HOME", self.scratch.path())
    }

    /// What was prepared here.
    fn kdir(&self, context: &Context, release: &Release) -> Result<Kdir> {
        let here = Context::new(Report::silent(), Cache::at(self.dir())?, context.program.clone());
        Kdir::open(&here.cache, release).context("the tool reported success and prepared nothing")
    }

    /// The steps as [`prepare`] runs them, in the same root, with nothing beside them.
    fn make_steps(&self, context: &Context, prepared: &Prepared) -> Result<()> {
        let kdir = &prepared.kdir;
        let build = self.scratch.path().join("bare");
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
}
