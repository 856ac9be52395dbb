// SPDX-License-Identifier: GPL-2.0
//! A task on a node: the cells of one kernel.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;
use kernel::context::Context;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};

use super::client::SlurmClient;
use super::submission::Submission;
use crate::here::machine;
use crate::plan::Plan;
use crate::results::ResultsDir;
use crate::run::{RunOptions, StopFlag, run};

/// So long a task waits for the record of its submission.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks.
const BETWEEN: Duration = Duration::from_millis(200);

/// So often a task begins again, at most.
const RETRIES: u32 = 2;

/// What Slurm tells a task of itself (sbatch(1), "OUTPUT ENVIRONMENT VARIABLES").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskEnvironment {
    /// The job of its array.
    pub job: u64,
    /// Its index there.
    pub index: usize,
    /// How often it had been begun before.
    pub restarts: u32,
    /// Processors that it has.
    pub cpus: usize,
}

impl TaskEnvironment {
    /// Reads it, by the names of its variables.
    ///
    /// # Errors
    ///
    /// Usage, if this is no task.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let number = |name: &str| variable(name)?.parse::<u64>().ok();
        let needed = |name: &str| {
            let none = || Failure::usage(name, "is not set: this command is for Slurm's tasks");
            number(name).ok_or_else(|| none().remedy("cargo kmod matrix submit --slurm"))
        };
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            job: needed("SLURM_ARRAY_JOB_ID")?,
            index: small(needed("SLURM_ARRAY_TASK_ID")?),
            restarts: u32::try_from(number("SLURM_RESTART_COUNT").unwrap_or_default()).unwrap_or(u32::MAX),
            cpus: small(number("SLURM_CPUS_ON_NODE").unwrap_or(1)).max(1),
        })
    }
}

/// Where a task finds what it needs.
#[derive(Clone, Copy, Debug)]
pub struct TaskPlace<'a> {
    /// The directory of results.
    pub results: &'a Utf8Path,
    /// By which it is known.
    pub nonce: &'a str,
    /// The node's own directory with the plan, where that was brought to it.
    pub own: Option<&'a Utf8Path>,
}

/// Runs the cells of a task's kernel. What says nothing of the module is tried on another node, a
/// few times; a crash of the kernel never is.
///
/// # Errors
///
/// Missing, if the directory is not that of the submission; refused, if another plan is in it.
pub fn run_task(
    context: &Context,
    place: TaskPlace<'_>,
    task: TaskEnvironment,
    stop: &StopFlag,
) -> Result<()> {
    let (results, plan, kernel) = opened(place, task)?;
    let options = RunOptions {
        kernels: vec![kernel.clone()],
        retries: task.restarts,
        processors: Some(task.cpus),
        ..RunOptions::default()
    };
    run(context, &plan, &results, &options, stop)?;
    let again = !stop.is_set() && task.restarts < RETRIES && never_up(&plan, &results, &kernel);
    if again {
        let name = format!("{}_{}", task.job, task.index);
        context.report.note("Requeueing", &format!("{name}: a machine did not come up"));
        SlurmClient::find(&context.report)?.requeue(&name)?;
    }
    Ok(())
}

/// The directory of a submission, as a node sees it.
fn opened(place: TaskPlace<'_>, task: TaskEnvironment) -> Result<(ResultsDir, Plan, Release)> {
    let TaskPlace { results: dir, nonce, own } = place;
    let there = fs_err::read_to_string(dir.join("slurm/nonce")).unwrap_or_default();
    if there != nonce {
        let node = machine();
        let reason = format!("is not the directory of this submission on {node}: it is not shared with it");
        return Err(Failure::missing(dir.as_str(), reason)
            .remedy("put the results into a directory that all nodes see at the same place: --results DIR")
            .into());
    }
    let (results, mut plan) = ResultsDir::open(dir)?;
    if let Some(own) = own {
        plan = Plan::read(&own.join("plan.json"))?;
    }
    let submission = submitted(&results, nonce, task)?;
    let none = || {
        let what = format!("task {}_{}", task.job, task.index);
        Failure::refused(what, format!("is none of the submission in {dir}"))
    };
    let kernel = submission.kernel(task.job, task.index).ok_or_else(none)?.clone();
    if submission.plan != plan.id {
        let reason = format!("has plan {} now, and plan {} was submitted", plan.id, submission.plan);
        return Err(Failure::new(Exit::Refused, dir.as_str(), reason).remedy("--results NEWDIR").into());
    }
    Ok((results, plan, kernel))
}

/// The record of the submission: a task may begin before it is written.
fn submitted(results: &ResultsDir, nonce: &str, task: TaskEnvironment) -> Result<Submission> {
    let is_ours = |submission: &Submission| {
        submission.nonce == nonce && submission.kernel(task.job, task.index).is_some()
    };
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(submission) = Submission::find(results)?.filter(is_ours) {
            return Ok(submission);
        }
        std::thread::sleep(BETWEEN);
    }
    Submission::open(results)
}

/// Whether a cell of this kernel ended because the guest never came up, or QEMU ended.
fn never_up(plan: &Plan, results: &ResultsDir, kernel: &Release) -> bool {
    let cells = plan.cells.iter().filter(|cell| cell.kernel == *kernel && cell.skip.is_none());
    cells.filter_map(|cell| results.read(cell).ok().flatten()).any(|result| {
        let exit = Exit::of_status(result.status());
        matches!(exit, Exit::NeverUp | Exit::QemuDied)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_its_variables() {
        let of = |all: &[(&str, &str)]| {
            let find = |name: &str| all.iter().find(|(known, _)| *known == name);
            TaskEnvironment::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        let both = [("SLURM_ARRAY_JOB_ID", "12"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(of(&both).unwrap(), TaskEnvironment { job: 12, index: 3, restarts: 0, cpus: 1 });
        let more = [both[0], both[1], ("SLURM_RESTART_COUNT", "2"), ("SLURM_CPUS_ON_NODE", "4")];
        assert_eq!(of(&more).unwrap(), TaskEnvironment { job: 12, index: 3, restarts: 2, cpus: 4 });
        assert_eq!(of(&both[..1]).unwrap_err().exit, Exit::Usage);
    }
}
