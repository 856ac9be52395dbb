// SPDX-License-Identifier: GPL-2.0
//! `inspect` of every module of a kernel, beside modinfo(8) called for each.

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, in_turns};
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared, Rust};
use kernel::root::Access;
use kmodfile::disk::modules_in;
use report::process::Cmd;

/// What part of modinfo's time it may be.
const RATIO: f64 = 0.2;

/// Times both over the modules of that prepared kernel which has the most.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let (prepared, files) = kernel(context)?;
    let report = &context.report;
    let ours = Cmd::new(&context.program).arg("inspect").args(&files);
    let script = "for file in \"$@\"; do modinfo \"$file\" || exit 1; done";
    let theirs = Cmd::new("sh").args(["-c", script, "sh"]).args(&files);
    let access = prepared.kdir.read_by(Access::default());
    let theirs = prepared.root.inside(context, theirs, &access);
    let count = files.len();
    let subjects = vec![
        Subject::new(format!("xtask inspect, {count} modules"), || ours.run(report).map(drop)),
        Subject::new(format!("modinfo, {count} times"), || theirs.run(report).map(drop)),
    ];
    let timings = in_turns(report, runs, subjects)?;
    let judgements = vec![LimitCheck::ratio(&timings[0], &timings[1], RATIO)];
    Ok(Results { timings, judgements })
}

/// The kernel with the most modules, and their files; with none prepared, the default one is.
fn kernel(context: &Context) -> Result<(Prepared, Vec<Utf8PathBuf>)> {
    let default = prepare::provide(context, None, context.root_fs)?;
    let mut kernels = Kdir::all(&context.cache, &context.report);
    kernels.push(default.kdir.clone());
    let counted = kernels.iter().map(|kdir| Ok((kdir, modules_in(&kdir.modules())?)));
    let counted = counted.collect::<Result<Vec<_>>>()?;
    let (kdir, files) =
        counted.into_iter().max_by_key(|(_, files)| files.len()).context("no kernel is prepared")?;
    let prepared = prepare::provide_for(context, Some(kdir.release()), context.root_fs, Rust::Optional)?;
    Ok((prepared, files))
}
