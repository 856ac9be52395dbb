// SPDX-License-Identifier: GPL-2.0
//! `kernel prepare` of all flavours of one version: one after another, and at once.

use anyhow::{Result, ensure};

use crate::bench::Results;
use crate::bench::cold::ColdCache;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, Timing, once};
use kernel::context::Context;
use kernel::discover::{self, KernelFacts};
use kmodfile::release::Release;

/// What part of the first flavour the second may take.
const SECOND: f64 = 0.75;

/// What part of one after another all at once may take.
const AT_ONCE: f64 = 0.85;

/// Prepares each flavour of the default kernel's version in a cache that shares build roots and
/// packages with the user's, and all of them in another such one. Minutes each, so `--runs` does
/// not count.
pub fn measure(context: &Context) -> Result<Results> {
    let releases = flavours(context)?;
    let report = &context.report;
    let mut each = Vec::new();
    {
        let cold = ColdCache::new(context, "flavours", SHARED)?;
        for (number, release) in releases.iter().enumerate() {
            let tool = cold.tool(context).args(["kernel", "prepare", release.as_str()]);
            let what = format!("kernel prepare, flavour {}", number + 1);
            each.push(once(report, Subject::new(what, || tool.run(report).map(drop)))?);
        }
    }
    let cold = ColdCache::new(context, "flavours", SHARED)?;
    let tool = cold.tool(context).args(["kernel", "prepare"]).args(releases.iter().map(Release::as_str));
    let what = format!("kernel prepare of {} flavours at once", releases.len());
    let at_once = once(report, Subject::new(what, || tool.run(report).map(drop)))?;
    let sum = Timing::new("one after another", vec![each.iter().map(|timing| timing.median).sum()]);
    let beside = if context.jobs > 1 {
        LimitCheck::ratio(&at_once, &sum, AT_ONCE)
    } else {
        LimitCheck::skipped(&at_once.what, AT_ONCE, "needs --jobs 2, or more".to_owned())
    };
    let judgements = vec![LimitCheck::ratio(&each[1], &each[0], SECOND), beside];
    Ok(Results { timings: each.into_iter().chain([sum, at_once]).collect(), judgements })
}

/// Fetching is no part of what is compared.
const SHARED: &[&str] = &["archive", "roots"];

/// The default kernel, and the others of its version that have Rust.
fn flavours(context: &Context) -> Result<Vec<Release>> {
    let (archive, default) = discover::named_or_default(context, None)?;
    let mut kernels = archive.kernels();
    kernels.retain(|kernel| kernel.version() == default.version() && kernel.release != default.release);
    let mut releases = vec![default.release.clone()];
    // Packages are fetched before anything is timed.
    for kernel in std::iter::once(&default).chain(&kernels) {
        if KernelFacts::of(&archive.config(kernel)?).rust {
            let parts = archive.parts(kernel)?;
            let packages = [parts.headers, parts.source].into_iter().chain(parts.image.iter().copied());
            archive.provide(&packages.collect::<Vec<_>>(), &context.report)?;
            if kernel.release != default.release {
                releases.push(kernel.release.clone());
            }
        }
    }
    ensure!(releases.len() > 1, "{} has no other flavour with Rust", default.release);
    Ok(releases)
}
