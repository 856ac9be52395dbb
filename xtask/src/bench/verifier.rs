// SPDX-License-Identifier: GPL-2.0
//! The verifier beside the client's own checks, on the same replies.

use anyhow::{Context as _, Result, ensure};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::timing::Timing;
use crate::repository;
use kernel::context::Context;
use kernel::prepare;
use report::process::Cmd;

/// What part of the client's time the verifier may take.
const RATIO: f64 = 1.0;

/// Times both in a program of their own, compiled as the kernel compiles: the C at `-O2`, the Rust
/// at the same level.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    // The client's source comes with a prepared kernel.
    prepare::provide(context, None, context.root_fs)?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let cmd = Cmd::new(cargo)
        .args(["run", "--quiet", "--locked", "--release", "--config", "profile.release.opt-level=2"])
        .args(["--package", "oracle", "--bin", "verifier-times", "--", &runs.to_string()])
        .cwd(repository());
    let step = context.report.step("Timing", "the verifier and the client's own checks");
    let text = cmd.read(&context.report)?;
    step.done("Timed", "the verifier and the client's own checks");
    results(&text)
}

/// Reads lines of what, nanoseconds of the verifier, nanoseconds of the client; those of one kind
/// follow each other.
fn results(text: &str) -> Result<Results> {
    let mut kinds: Vec<(&str, Vec<f64>, Vec<f64>)> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('\t');
        let what = words.next().unwrap_or_default();
        let mut seconds = || -> Result<f64> {
            let nanoseconds: f64 = words.next().with_context(|| format!("no figures: {line}"))?.parse()?;
            Ok(nanoseconds / 1e9)
        };
        let (ours, theirs) = (seconds()?, seconds()?);
        if kinds.last().is_none_or(|(last, ..)| *last != what) {
            kinds.push((what, Vec::new(), Vec::new()));
        }
        if let Some((_, all_ours, all_theirs)) = kinds.last_mut() {
            all_ours.push(ours);
            all_theirs.push(theirs);
        }
    }
    ensure!(!kinds.is_empty(), "nothing was timed");
    let mut results = Results::default();
    for (what, ours, theirs) in kinds {
        let ours = Timing::new(format!("verifier, {what}"), ours);
        let theirs = Timing::new(format!("client, {what}"), theirs);
        results.judgements.push(LimitCheck::ratio(&ours, &theirs, RATIO));
        results.timings.extend([ours, theirs]);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_kind_are_taken_together() {
        let found = results("A\t10\t20\nA\t30\t20\nA\t11\t20\nB\t5\t4\n").unwrap();
        let ratios = found.judgements.iter().map(|judgement| format!("{:.3}", judgement.found.unwrap()));
        assert_eq!(ratios.collect::<Vec<_>>(), ["0.550", "1.250"]);
        assert_eq!(found.timings[0].runs.len(), 3);
        assert!(results("").is_err() && results("A\t10\n").is_err() && results("A\tx\ty\n").is_err());
    }
}
