// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask bench`.

use anyhow::Result;
use clap::ValueEnum as _;

use crate::bench::judgement::Outcome;
use crate::bench::{
    Results, build, dkms, guard, insmod, inspect, install, prepare, rebuild, rpm, table, verifier,
};
use crate::cli::{BenchArgs, Measure};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::machine::programs;

/// Measures, prints what was found, and fails when a limit was not kept.
pub fn run(context: &Context, args: &BenchArgs) -> Result<()> {
    let wanted: &[Measure] = if args.names.is_empty() { Measure::value_variants() } else { &args.names };
    if args.runs == 0 {
        return Err(Failure::usage("--runs 0", "measures nothing").remedy("--runs 1, or more").into());
    }
    if context.dry_run {
        wanted.iter().for_each(|measure| context.report.say(&format!("would measure {}", name(*measure))));
        return Ok(());
    }
    programs::ensure(context, &[programs::ROOTS, programs::VM, programs::INSTALL])?;
    let mut results = Results::default();
    for measure in wanted {
        results.extend(match measure {
            Measure::Prepare => prepare::measure(context)?,
            Measure::Build => build::measure(context, args.runs)?,
            Measure::Rpm => rpm::measure(context, args.runs)?,
            Measure::Inspect => inspect::measure(context, args.runs)?,
            Measure::Insmod => insmod::measure(context, args.runs)?,
            Measure::Install => install::measure(context, args.runs)?,
            Measure::Dkms => dkms::measure(context, args.runs)?,
            Measure::Rebuild => rebuild::measure(context, args.runs)?,
            Measure::Guard => guard::measure(context, args.runs)?,
            Measure::Verify => verifier::measure(context, args.runs)?,
        });
    }
    context.report.data(&results);
    context.report.say(&table::shown(&results));
    judge(&results)
}

fn name(measure: Measure) -> String {
    measure.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn judge(results: &Results) -> Result<()> {
    let over = results.judgements.iter().filter(|judgement| judgement.outcome == Outcome::Over);
    let over: Vec<&str> = over.map(|judgement| judgement.what.as_str()).collect();
    if over.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "bench", format!("over the limit: {}", over.join(", ")))
        .remedy("a busy machine measures too much: stop what else it does, and run it again")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::judgement::Judgement;
    use crate::bench::timing::Timing;
    use crate::failure::exit_of;

    #[test]
    fn only_a_limit_that_was_not_kept_fails() {
        let timing = Timing::new("x", vec![1.0]);
        let mut results = Results::default();
        results.judgements.push(Judgement::seconds(&timing, 2.0));
        results.judgements.push(Judgement::skipped("y", 2.0, "why".to_owned()));
        judge(&results).unwrap();
        results.judgements.push(Judgement::seconds(&timing, 0.5));
        assert_eq!(exit_of(&judge(&results).unwrap_err()), Exit::Failed);
    }
}
