// SPDX-License-Identifier: GPL-2.0
//! The sanitizing kernel: how long it took to build, and `insmod` in it beside the stock kernel.

use anyhow::Result;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, Timing, in_turns};
use crate::repository;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::prepare;
use report::process::Cmd;

/// Seconds that building it may take, on two processors with nothing else to do.
const BUILD: f64 = 20.0 * 60.0;

/// Times the guard in both, from a cold boot to the verdict. Where no sanitizing kernel of the
/// default one is in the cache, none is built for this.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let stock = prepare::provide(context, None, context.root_fs)?.kdir.release().clone();
    let twin = prepare::sanitizing_release(context, Some(&stock))?;
    let Some(kdir) = Kdir::open(&context.cache, &twin) else {
        let why = format!("not built: cargo xtask kernel prepare {stock} --sanitize");
        let judgements = vec![LimitCheck::skipped("a sanitizing kernel", BUILD, why)];
        return Ok(Results { timings: Vec::new(), judgements });
    };
    let built = Timing::new("kernel prepare --sanitize, when that was", vec![kdir.stamp().seconds]);
    let report = &context.report;
    let insmod = |words: &'static [&'static str]| {
        let tool = Cmd::new(&context.program).arg("insmod").args(words).cwd(repository());
        move || tool.run(report).map(drop)
    };
    let subjects =
        vec![Subject::new("insmod --sanitize", insmod(&["--sanitize"])), Subject::new("insmod", insmod(&[]))];
    let mut timings = in_turns(report, runs, subjects)?;
    let judgements = vec![LimitCheck::seconds(&built, BUILD)];
    timings.insert(0, built);
    Ok(Results { timings, judgements })
}
