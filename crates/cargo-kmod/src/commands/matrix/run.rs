// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix run`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use glob::Pattern;
use kernel::context::Context;
use kmodfile::release::Release;
use matrix::here::now;
use matrix::partition::Partition;
use matrix::plan::Plan;
use matrix::results::ResultsDir;
use matrix::run::{RunCounts, RunOptions, StopFlag};
use report::counted;
use report::failure::Failure;

use super::ResultsArgs;
use super::ending::MatrixEnd;
use super::report::ReportArgs;
use super::wanted::WantedArgs;

/// `cargo kmod matrix run`.
#[derive(Debug, Args)]
pub struct MatrixRunArgs {
    /// What is wanted.
    #[command(flatten)]
    pub wanted: WantedArgs,
    /// Run the cells of this plan; with --kernel only those on these kernels
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "projects", "steps"])]
    pub plan: Option<Utf8PathBuf>,
    /// Go on with the plan that was run last, whatever has changed since
    #[arg(long, conflicts_with_all = ["file", "projects", "steps", "plan"])]
    pub resume: bool,
    /// Run this part of it alone: 1/3, 2/3, 3/3 on three machines, whose results merge puts
    /// together
    #[arg(long, value_name = "K/N")]
    pub partition: Option<Partition>,
    /// Run cells again that have a result of the same inputs
    #[arg(long)]
    pub again: bool,
    /// What is written of it.
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &MatrixRunArgs) -> Result<()> {
    args.reports.require_one_output(context)?;
    let began = now();
    let stop = StopFlag::on_signals()?;
    let dir = args.results.dir(context)?;
    let plan = plan(context, args)?;
    let options = RunOptions {
        kernels: if args.plan.is_some() || args.resume { kernels(&plan, args)? } else { Vec::new() },
        partition: args.partition,
        again: args.again,
        ..RunOptions::default()
    };
    if context.dry_run {
        return would(context, &plan, &options, &dir);
    }
    let results = ResultsDir::create(&dir)?;
    results.write_plan(&plan)?;
    let counts = matrix::run::run(context, &plan, &results, &options, &stop)?;
    say(context, &counts);
    let (results, options, reports) = (&results, &options, &args.reports);
    MatrixEnd { plan: &plan, results, options, reports, began, ran: counts.ran > 0 }.judge(context)
}

/// The plan that was named, or else the one that is wanted.
fn plan(context: &Context, args: &MatrixRunArgs) -> Result<Plan> {
    match &args.plan {
        Some(file) => Ok(Plan::read(file)?),
        None if args.resume => Ok(ResultsDir::open(&args.results.dir(context)?)?.1),
        None => args.wanted.plan(context),
    }
}

/// Of a plan, the kernels that the options name.
fn kernels(plan: &Plan, args: &MatrixRunArgs) -> Result<Vec<Release>, Failure> {
    let mut all = Vec::new();
    for selector in &args.wanted.kernels {
        let meant = |pattern: &Pattern, release: &Release| pattern.matches(release.as_str());
        let of = |release: &&Release| selector.release.as_ref().is_none_or(|pattern| meant(pattern, release));
        let found: Vec<Release> =
            plan.kernels.iter().map(|kernel| &kernel.release).filter(of).cloned().collect();
        if found.is_empty() {
            return Err(Failure::usage(
                format!("--kernel {selector}"),
                format!("is not in plan {}", plan.id),
            ));
        }
        all.extend(found);
    }
    Ok(all)
}

fn would(context: &Context, plan: &Plan, options: &RunOptions, dir: &camino::Utf8Path) -> Result<()> {
    let cells = options.cells(plan);
    for cell in &cells {
        let steps: Vec<String> = cell.steps.iter().map(ToString::to_string).collect();
        context.report.say(&format!("would run {}: {}", cell.title(), steps.join(", ")));
    }
    context.report.say(&format!("results would be in {dir}"));
    Ok(())
}

fn say(context: &Context, counts: &RunCounts) {
    if counts.fresh > 0 {
        let fresh = counted(counts.fresh, "cell", "cells");
        context.report.note("Fresh", &format!("{fresh}, run before with the same inputs"));
    }
    if counts.left > 0 {
        let left = counted(counts.left, "cell", "cells");
        context.report.note("Left", &format!("{left}; go on with cargo kmod matrix run --resume"));
    }
}
