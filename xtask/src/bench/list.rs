// SPDX-License-Identifier: GPL-2.0
//! `kernel list` with everything that it reads in the cache.

use anyhow::Result;

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::{Subject, in_turns};
use kernel::context::Context;
use report::process::Cmd;

/// Seconds that it may take.
const LIMIT: f64 = 0.3;

/// Times it as a user calls it; the round that is not counted fetches what is old.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let list = Cmd::new(&context.program).args(["kernel", "list"]);
    let subject = Subject::new("kernel list, warm", || list.run(&context.report).map(drop));
    let timings = in_turns(&context.report, runs, vec![subject])?;
    let judgements = vec![LimitCheck::seconds(&timings[0], LIMIT)];
    Ok(Results { timings, judgements })
}
