// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask bench`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::ValueEnum as _;

use crate::bench::judgement::Outcome;
use crate::bench::{
    Results, artefacts, build, dkms, flavours, guard, insmod, inspect, install, list, matrix, prepare,
    rebuild, rpm, sanitize, table, verifier, weak_modules,
};
use clap::Args;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::machine::programs;
use kmodfile::architecture::Architecture;
use report::failure::{Exit, Failure};

/// `cargo xtask bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Which measures [default: all]
    #[arg(value_enum)]
    pub names: Vec<Measure>,
    /// Runs per figure; the median counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// For `weak-modules`: the script of that name, which kmod has on RHEL and its likes; without
    /// it that measure is skipped
    #[arg(long, value_name = "FILE")]
    pub weak_modules: Option<Utf8PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// `kernel prepare` beside the bare make steps
    Prepare,
    /// `kernel prepare` of all flavours of one version, one after another and at once
    Flavours,
    /// From a package of Rust artefacts to the first module that is built with it
    Artefacts,
    /// How long a sanitizing kernel took to build, and `insmod` in it beside the stock one
    Sanitize,
    /// `kernel list` with nothing to fetch
    List,
    /// `build` with nothing changed beside a no-op make
    Build,
    /// `matrix run` of many kernels beside one after another, and of cells that do nothing
    Matrix,
    /// `inspect` of every module of a kernel beside modinfo called for each
    Inspect,
    /// `insmod` beside virtme-ng doing the same
    Insmod,
    /// `install` beside cp and depmod
    Install,
    /// `dkms-install` beside dkms alone, for one kernel and for three
    Dkms,
    /// `rpm` beside rpmbuild of the same spec, and several kernels at once
    Rpm,
    /// `weak-modules` over 300 kernels beside Red Hat's script
    WeakModules,
    /// Guest instructions to open files on a share, with the guard and without
    Guard,
    /// `build --project cifs` from nothing beside the same make by hand
    Rebuild,
    /// The verifier beside the client's own checks, on the same replies
    Verify,
}

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
    programs::ensure(
        context,
        &[
            known::usual().programs(),
            vm::qemu::programs(Architecture::native().unwrap_or_default()),
            deploy::install::PROGRAMS,
        ],
    )?;
    let mut results = Results::default();
    for measure in wanted {
        results.extend(match measure {
            Measure::Prepare => prepare::measure(context)?,
            Measure::Flavours => flavours::measure(context)?,
            Measure::Artefacts => artefacts::measure(context)?,
            Measure::Sanitize => sanitize::measure(context, args.runs)?,
            Measure::List => list::measure(context, args.runs)?,
            Measure::Build => build::measure(context, args.runs)?,
            Measure::Rpm => rpm::measure(context, args.runs)?,
            Measure::Matrix => matrix::measure(context, args.runs)?,
            Measure::Inspect => inspect::measure(context, args.runs)?,
            Measure::Insmod => insmod::measure(context, args.runs)?,
            Measure::Install => install::measure(context, args.runs)?,
            Measure::Dkms => dkms::measure(context, args.runs)?,
            Measure::Rebuild => rebuild::measure(context, args.runs)?,
            Measure::WeakModules => weak_modules::measure(context, args.weak_modules.as_deref())?,
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
    use crate::bench::judgement::LimitCheck;
    use crate::bench::timing::Timing;
    use report::failure::exit_of;

    #[test]
    fn only_a_limit_that_was_not_kept_fails() {
        let timing = Timing::new("x", vec![1.0]);
        let mut results = Results::default();
        results.judgements.push(LimitCheck::seconds(&timing, 2.0));
        results.judgements.push(LimitCheck::skipped("y", 2.0, "why".to_owned()));
        judge(&results).unwrap();
        results.judgements.push(LimitCheck::seconds(&timing, 0.5));
        assert_eq!(exit_of(&judge(&results).unwrap_err()), Exit::Failed);
    }
}
