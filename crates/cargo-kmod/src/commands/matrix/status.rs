// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix status`, `collect` and `cancel`: what becomes of what was submitted.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use kernel::context::Context;
use matrix::here::now;
use matrix::plan::Plan;
use matrix::results::{KeptResults, ResultsDir};
use matrix::run::{RunOptions, StopFlag};
use matrix::slurm::{JobState, JobStep, SlurmClient, Submission, is_over};
use report::failure::Failure;
use report::{ProgressUnit, counted, table};
use serde::Serialize;

use super::ResultsArgs;
use super::ending::MatrixEnd;
use super::report::ReportArgs;

/// How often the controller is asked while somebody waits.
const BETWEEN: Duration = Duration::from_secs(1);

/// So many seconds the clocks of two machines may differ without being said.
const SKEW: u64 = 60;

/// `cargo kmod matrix status`, `cancel`.
#[derive(Debug, Args)]
pub struct SubmittedArgs {
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// `cargo kmod matrix collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Wait until all tasks have ended
    #[arg(long)]
    pub wait: bool,
    /// What is written of it.
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// What was submitted, and where it is.
struct Submitted {
    results: ResultsDir,
    plan: Plan,
    submission: Submission,
}

/// A task, for programs.
#[derive(Serialize)]
struct TaskRow {
    kernel: String,
    job: u64,
    index: usize,
    state: Option<String>,
    node: Option<String>,
    cells: usize,
    ended: usize,
    failed: usize,
}

impl Submitted {
    fn open(context: &Context, args: &ResultsArgs) -> Result<Self> {
        let (results, plan) = ResultsDir::open(&args.dir(context)?)?;
        let submission = Submission::open(&results)?;
        if submission.plan != plan.id {
            let reason = format!("has plan {} now, and plan {} was submitted", plan.id, submission.plan);
            return Err(Failure::refused(results.dir().as_str(), reason)
                .remedy("results of another plan belong elsewhere: --results DIR")
                .into());
        }
        Ok(Self { results, plan, submission })
    }

    fn states(&self, context: &Context) -> Result<Vec<JobState>> {
        SlurmClient::find(&context.report)?.states(&self.submission.jobs())
    }

    fn rows(&self, states: &[JobState], kept: &KeptResults) -> Vec<TaskRow> {
        let mut rows = Vec::new();
        for array in &self.submission.arrays {
            for (index, kernel) in array.kernels.iter().enumerate() {
                let state = states.iter().find(|state| (state.job, state.index) == (array.job, index));
                let cells =
                    self.plan.cells.iter().filter(|cell| cell.kernel == *kernel && cell.skip.is_none());
                let results: Vec<_> = cells.clone().filter_map(|cell| kept.results.get(&cell.id)).collect();
                rows.push(TaskRow {
                    kernel: kernel.to_string(),
                    job: array.job,
                    index,
                    state: state.map(ToString::to_string),
                    node: state.map(|state| state.node.clone()).filter(|node| !node.is_empty()),
                    cells: cells.count(),
                    ended: results.len(),
                    failed: results.iter().filter(|result| result.failed().is_some()).count(),
                });
            }
        }
        rows
    }
}

/// Shows where each task is.
pub(super) fn status(context: &Context, args: &SubmittedArgs) -> Result<()> {
    let submitted = Submitted::open(context, &args.results)?;
    let states = submitted.states(context)?;
    let kept = submitted.results.read_all(&submitted.plan);
    kept.faults.iter().for_each(|fault| context.report.warn(fault));
    let rows = submitted.rows(&states, &kept);
    context.report.data(&rows);
    context.report.say(&shown(&rows));
    Ok(())
}

fn shown(rows: &[TaskRow]) -> String {
    let head = ["KERNEL", "TASK", "CELLS", "FAILED", "SLURM SAYS"].map(str::to_owned).to_vec();
    let row = |row: &TaskRow| {
        vec![
            row.kernel.clone(),
            format!("{}_{}", row.job, row.index),
            format!("{} of {}", row.ended, row.cells),
            row.failed.to_string(),
            row.state.clone().unwrap_or_else(|| "nothing any more".to_owned()),
        ]
    };
    table(&std::iter::once(head).chain(rows.iter().map(row)).collect::<Vec<_>>())
}

/// Judges what is there, once all tasks have ended if that is wanted.
pub(super) fn collect(context: &Context, args: &CollectArgs) -> Result<()> {
    args.reports.require_one_output(context)?;
    let submitted = Submitted::open(context, &args.results)?;
    let states = if args.wait { wait(context, &submitted)? } else { submitted.states(context)? };
    let kept = submitted.results.read_all(&submitted.plan);
    say_lost(context, &submitted, &states, &kept);
    say_skew(context, &kept);
    let Submitted { results, plan, submission } = &submitted;
    let (options, reports) = (&RunOptions::default(), &args.reports);
    MatrixEnd { plan, results, options, reports, began: submission.when, ran: true }.judge(context)
}

/// Waits until no task will do anything any more by itself.
fn wait(context: &Context, submitted: &Submitted) -> Result<Vec<JobState>> {
    let stop = StopFlag::on_signals()?;
    let client = SlurmClient::find(&context.report)?;
    let jobs = submitted.submission.jobs();
    let all: usize = submitted.submission.arrays.iter().map(|array| array.kernels.len()).sum();
    let step = context
        .report
        .step("Waiting", &format!("for plan {} on {}", submitted.plan.id, submitted.submission.cluster));
    step.count(ProgressUnit::Things("task", "tasks"), u64::try_from(all).unwrap_or(u64::MAX));
    loop {
        // A controller that is being started again answers in a while.
        let states = client.states(&jobs);
        if let Ok(states) = &states {
            let alive = |state: &&JobState| matches!(state.step(), JobStep::Waiting | JobStep::Running);
            let alive = states.iter().filter(alive).count();
            step.reach(u64::try_from(all.saturating_sub(alive)).unwrap_or_default());
            if is_over(states) {
                step.done("Ended", &counted(all, "task", "tasks"));
                return Ok(states.clone());
            }
        }
        if stop.is_set() {
            return states;
        }
        if let Err(error) = states {
            context.report.warn_once(&format!("{error:#}; waiting for it"));
        }
        std::thread::sleep(BETWEEN);
    }
}

/// Of tasks whose cells have no result, what Slurm says.
fn say_lost(context: &Context, submitted: &Submitted, states: &[JobState], kept: &KeptResults) {
    for row in submitted.rows(states, kept).iter().filter(|row| row.ended < row.cells) {
        let lost = counted(row.cells - row.ended, "cell", "cells");
        let said = row.state.as_deref().unwrap_or("nothing any more of its task");
        let log = submitted.results.dir().join(format!("slurm/{}_{}.log", row.job, row.index));
        let log = if log.exists() { format!("; see {log}") } else { String::new() };
        context.report.warn(&format!("{}: {lost} without a result; Slurm says {said}{log}", row.kernel));
    }
}

/// Nothing is decided by a clock; that one is wrong is said all the same.
fn say_skew(context: &Context, kept: &KeptResults) {
    let now = now();
    let ahead = kept.results.values().filter(|result| result.began > now + SKEW);
    for result in ahead {
        let by = result.began - now;
        context.report.warn_once(&format!(
            "the clock of {} is {by} s ahead of this machine's: times in results of it are wrong",
            result.machine
        ));
    }
}

/// Ends what was submitted, and nothing else.
pub(super) fn cancel(context: &Context, args: &SubmittedArgs) -> Result<()> {
    let submitted = Submitted::open(context, &args.results)?;
    let jobs = submitted.submission.jobs();
    let numbers: Vec<String> = jobs.iter().map(u64::to_string).collect();
    if context.dry_run {
        context.report.say(&format!("would cancel job {}", numbers.join(", ")));
        return Ok(());
    }
    SlurmClient::find(&context.report)?.cancel(&jobs)?;
    let states = wait(context, &submitted)?;
    let kept = submitted.results.read_all(&submitted.plan);
    let rows = submitted.rows(&states, &kept);
    context.report.data(&rows);
    context.report.say(&shown(&rows));
    context.report.say("\nWhat is left is submitted again by the same `cargo kmod matrix submit`.");
    Ok(())
}
