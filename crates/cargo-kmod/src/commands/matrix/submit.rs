// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix submit`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use matrix::plan::Plan;
use matrix::results::ResultsDir;
use matrix::slurm::{SlurmRequest, SubmitOrder, submit};
use report::counted;
use serde::Serialize;

use super::ResultsArgs;
use super::wanted::WantedArgs;

/// MiB for a task, if nothing else is said: preparing a kernel takes most.
const MEMORY: u64 = 2000;

/// `cargo kmod matrix submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// To the cluster of Slurm's that this machine belongs to
    #[arg(long, required = true)]
    pub slurm: bool,
    /// What is wanted.
    #[command(flatten)]
    pub wanted: WantedArgs,
    /// Submit this plan
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "projects", "kernels", "steps"])]
    pub plan: Option<Utf8PathBuf>,
    /// Nodes of this partition of Slurm's [default: the cluster's own default]
    #[arg(long = "partition", value_name = "NAME", visible_alias = "queue")]
    pub queue: Option<String>,
    /// Tasks at the same time, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// How long a task, all cells of one kernel, may take, as sbatch has it: 2:00:00; a minute
    /// before that it is ended, and what it has is kept
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// Processors of a task: so many cells of its kernel are run at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus: u32,
    /// Memory of a task in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY)]
    pub memory: u64,
    /// Bring tool and plan to each node's own disk, with sbcast; only results are written to the
    /// shared directory then
    #[arg(long)]
    pub sbcast: bool,
    /// A directory that this machine and all nodes have at the same place.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// What was submitted, for programs.
#[derive(Serialize)]
struct Submitted {
    plan: String,
    results: Utf8PathBuf,
    jobs: Vec<u64>,
    tasks: usize,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &SubmitArgs) -> Result<()> {
    let plan = match &args.plan {
        Some(file) => Plan::read(file)?,
        None => args.wanted.plan(context)?,
    };
    let request = SlurmRequest {
        queue: args.queue.clone(),
        limit: args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        time: args.time.clone(),
        cpus: usize::try_from(args.cpus).unwrap_or(1),
        memory: args.memory,
        broadcast: args.sbcast,
    };
    let dir = args.results.dir(context)?;
    let results = if context.dry_run { ResultsDir::planned(&dir) } else { ResultsDir::create(&dir)? };
    let (orders, submission) = submit(context, &plan, &results, &request)?;
    let tasks: usize = orders.iter().map(|order| order.kernels.len()).sum();
    if context.dry_run {
        orders.iter().for_each(|order| would(context, order));
        return Ok(());
    }
    let Some(submission) = submission else {
        context.report.note("Fresh", &format!("plan {}: all its cells have results", plan.id));
        return Ok(());
    };
    let jobs = submission.jobs();
    let numbers: Vec<String> = jobs.iter().map(u64::to_string).collect();
    context.report.say(&format!(
        "plan {} on {}: {} in job {}\n\n  cargo kmod matrix status --results {dir}\n  cargo kmod matrix collect --wait --results {dir}",
        plan.id,
        submission.cluster,
        counted(tasks, "task", "tasks"),
        numbers.join(", "),
    ));
    context.report.data(&Submitted { plan: plan.id.to_string(), results: dir, jobs, tasks });
    Ok(())
}

fn would(context: &Context, order: &SubmitOrder) {
    let kernels: Vec<&str> = order.kernels.iter().map(|kernel| kernel.as_str()).collect();
    context.report.say(&format!("would run: {}\n    for {}", order.sbatch.line(), kernels.join(", ")));
}
