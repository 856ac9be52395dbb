// SPDX-License-Identifier: GPL-2.0
//! Submits what is left of a plan.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

use super::client::SlurmClient;
use super::jobs::JobStep;
use super::script;
use super::submission::{Submission, SubmittedArray};
use crate::plan::Plan;
use crate::results::ResultsDir;

/// Variables that tasks have of whoever submits them; of all others none.
const ENVIRONMENT: &str = "HOME,PATH,USER,LANG,XDG_CACHE_HOME,KMOD_STORE";

/// What is asked of the cluster for each task.
#[derive(Clone, Debug, Default)]
pub struct SlurmRequest {
    /// The partition of its nodes.
    pub queue: Option<String>,
    /// Tasks at the same time, at most.
    pub limit: Option<usize>,
    /// How long a task may take, as sbatch(1) has it.
    pub time: Option<String>,
    /// Processors.
    pub cpus: usize,
    /// MiB.
    pub memory: u64,
}

/// A job array that is to be submitted.
#[derive(Clone, Debug)]
pub struct SubmitOrder {
    /// The kernel of each task.
    pub kernels: Vec<Release>,
    /// The command that submits it.
    pub sbatch: Cmd,
}

/// The kernels that still have cells to be run, in the order of the plan.
fn left(plan: &Plan, results: &ResultsDir) -> Vec<Release> {
    let is_left = |cell: &&crate::plan::Cell| {
        let result = || results.read(cell).ok().flatten();
        cell.skip.is_none() && !result().is_some_and(|result| result.is_final())
    };
    let mut kernels: Vec<Release> = Vec::new();
    for cell in plan.cells.iter().filter(is_left) {
        if !kernels.contains(&cell.kernel) {
            kernels.push(cell.kernel.clone());
        }
    }
    kernels
}

/// What was submitted, or in a dry run would be.
///
/// # Errors
///
/// Missing, if Slurm is or its controller; refused, if a submission with these results is alive.
pub fn submit(
    context: &Context,
    plan: &Plan,
    results: &ResultsDir,
    request: &SlurmRequest,
) -> Result<(Vec<SubmitOrder>, Option<Submission>)> {
    let client = SlurmClient::find(&context.report)?;
    let dir = results.dir().join("slurm");
    let _lock = if context.dry_run { None } else { Some(locked(&dir)?) };
    require_none_alive(&client, results)?;
    let facts = client.facts()?;
    let nonce = nonce(plan);
    let tool = tool_place(results, &context.program)?;
    let orders: Vec<SubmitOrder> = left(plan, results)
        .chunks(facts.array.max(1))
        .map(|kernels| SubmitOrder {
            sbatch: sbatch(request, kernels.len(), results, &tool, &nonce),
            kernels: kernels.to_vec(),
        })
        .collect();
    if context.dry_run || orders.is_empty() {
        return Ok((orders, None));
    }
    results.write_plan(plan)?;
    bring(&context.program, &tool)?;
    durable::replace(&dir.join("task.sh"), script::TEXT.as_bytes())?;
    durable::replace(&dir.join("nonce"), nonce.as_bytes())?;
    let when = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut submission =
        Submission { plan: plan.id.clone(), cluster: facts.name, when, nonce, arrays: Vec::new() };
    for order in &orders {
        let job = client.submit(order.sbatch.clone())?;
        submission.arrays.push(SubmittedArray { job, kernels: order.kernels.clone() });
        // After each: what was submitted has to be found again.
        submission.write(results)?;
    }
    Ok((orders, Some(submission)))
}

/// Holds the directory of a submission while it is made.
fn locked(dir: &Utf8Path) -> Result<File> {
    fs_err::create_dir_all(dir)?;
    let file = File::options().create(true).append(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(Failure::refused(dir.as_str(), "somebody else submits with these results now")
            .remedy("cargo kmod matrix status")
            .into()),
    }
}

/// Refuses a second submission beside one that is not over.
fn require_none_alive(client: &SlurmClient<'_>, results: &ResultsDir) -> Result<()> {
    let Some(before) = Submission::find(results)? else { return Ok(()) };
    let states = client.states(&before.jobs())?;
    let alive = states.iter().filter(|state| state.step() != JobStep::Ended).count();
    if alive == 0 {
        return Ok(());
    }
    let tasks = report::counted(alive, "task", "tasks");
    let reason =
        format!("plan {} is submitted with these results, and {tasks} of it are not over", before.plan);
    Err(Failure::refused(results.dir().as_str(), reason)
        .remedy("cargo kmod matrix status, or end them: cargo kmod matrix cancel")
        .into())
}

/// Another one for each submission.
fn nonce(plan: &Plan) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let print = Fingerprint::new("submission", 1).text("plan", plan.id.as_str());
    let nanos = u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap_or_default();
    print.number("when", nanos).number("process", std::process::id().into()).hex()[..32].to_owned()
}

/// Where the tool is among the results: by its content, so that one that runs is never written to.
fn tool_place(results: &ResultsDir, program: &Utf8Path) -> Result<Utf8PathBuf> {
    let hash = durable::digest_of(program)?.with_context(|| format!("looking for {program}"))?;
    Ok(results.dir().join("tool").join(&hash[..16]).join("cargo-kmod"))
}

fn bring(program: &Utf8Path, place: &Utf8Path) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    let dir = place.parent().context("the tool's place has a directory")?;
    fs_err::create_dir_all(dir)?;
    let beside = dir.join(format!(".{}", std::process::id()));
    fs_err::copy(program, &beside)?;
    fs_err::set_permissions(&beside, std::fs::Permissions::from_mode(0o755))?;
    durable::publish(&beside, place)
}

/// The command that submits an array of so many tasks.
fn sbatch(request: &SlurmRequest, tasks: usize, results: &ResultsDir, tool: &Utf8Path, nonce: &str) -> Cmd {
    let last = tasks.saturating_sub(1);
    let limit = request.limit.map(|limit| format!("%{limit}")).unwrap_or_default();
    let dir = results.dir();
    let mut cmd = Cmd::new("sbatch")
        .args(["--parsable", "--requeue", "--open-mode=append", "--signal=B:TERM@60"])
        .arg("--kill-on-invalid-dep=yes")
        .arg("--job-name=kmod-matrix")
        .arg(format!("--array=0-{last}{limit}"))
        .arg(format!("--cpus-per-task={}", request.cpus))
        .arg(format!("--mem={}M", request.memory))
        .arg(format!("--export={ENVIRONMENT}"))
        .arg(format!("--chdir={dir}"))
        // sbatch(1), "FILENAME PATTERN": a backslash would take the pattern for text.
        .arg(format!("--output={}", dir.join("slurm/%A_%a.log")));
    if let Some(queue) = &request.queue {
        cmd = cmd.arg(format!("--partition={queue}"));
    }
    if let Some(time) = &request.time {
        cmd = cmd.arg(format!("--time={time}"));
    }
    cmd.args([dir.join("slurm/task.sh").as_str(), tool.as_str(), dir.as_str(), nonce])
}
