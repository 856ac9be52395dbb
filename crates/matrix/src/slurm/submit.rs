// SPDX-License-Identifier: GPL-2.0
//! Submits what is left of a plan.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable;
use report::failure::{Exit, Failure, exit_of};
use report::fingerprint::Fingerprint;
use report::process::Cmd;

use super::client::{ClusterFacts, SlurmClient};
use super::jobs::JobStep;
use super::script;
use super::submission::{Submission, SubmittedArray};
use crate::here::now;
use crate::plan::Plan;
use crate::results::ResultsDir;

/// Variables that tasks have of whoever submits them. They are all that sbatch is given, with what
/// is Slurm's own; had it names of variables, each node would read its user's login files first,
/// for which su takes its time (sbatch(1), `--export`).
const ENVIRONMENT: &[&str] = &[
    "HOME",
    "PATH",
    "USER",
    "LANG",
    "XDG_CACHE_HOME",
    "KMOD_STORE",
    "SLURM_CONF",
    "SLURM_CLUSTERS",
    "SLURM_JWT",
];

/// The one that names the store of prepared kernels.
const STORE: &str = "KMOD_STORE";

/// What options of sbatch begin with that the administrator or the user has set for all jobs.
const OPTIONS: &str = "SBATCH_";

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
    /// Whether tool and plan are brought to each node's own disk (sbcast(1)).
    pub broadcast: bool,
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
    let dir = results.dir().join("slurm");
    let nonce = nonce(plan);
    let tool = tool_place(results, &context.program)?;
    let mut variables = given(std::env::vars_os());
    if let Some(store) = &context.store {
        variables.retain(|(name, _)| name != STORE);
        variables.push((STORE.to_owned(), store.to_string().into()));
    }
    let letter = SubmitLetter { request, results, tool: &tool, nonce: nonce.clone(), variables };
    let kernels = left(plan, results);
    if context.dry_run {
        return Ok((letter.orders(&kernels, told(context, results)?.array), None));
    }
    let _lock = locked(&dir)?;
    let (client, facts) = ask(context, results)?;
    let mut orders = letter.orders(&kernels, facts.array);
    if orders.is_empty() {
        return Ok((orders, None));
    }
    results.write_plan(plan)?;
    bring(&context.program, &tool)?;
    durable::replace(&dir.join("task.sh"), script::TEXT.as_bytes())?;
    durable::replace(&dir.join("nonce"), nonce.as_bytes())?;
    let when = now();
    let mut submission =
        Submission { plan: plan.id.clone(), cluster: facts.name, when, nonce, arrays: Vec::new() };
    for order in &mut orders {
        if let Some(last) = submission.arrays.last() {
            order.sbatch = letter.sbatch(order.kernels.len(), Some(&last.job.to_string()));
        }
        let job = client.submit(order.sbatch.clone())?;
        submission.arrays.push(SubmittedArray { job, kernels: order.kernels.clone() });
        // After each: what was submitted has to be found again.
        submission.write(results)?;
    }
    Ok((orders, Some(submission)))
}

/// The controller, and what it says of itself, if it knows of no task that still writes there.
fn ask<'a>(context: &'a Context, results: &ResultsDir) -> Result<(SlurmClient<'a>, ClusterFacts)> {
    let client = SlurmClient::find(&context.report)?;
    require_none_alive(&client, results)?;
    let facts = client.facts()?;
    Ok((client, facts))
}

/// The same for a dry run, which does not need a cluster.
fn told(context: &Context, results: &ResultsDir) -> Result<ClusterFacts> {
    match ask(context, results) {
        Ok((_, facts)) => Ok(facts),
        Err(error) if exit_of(&error) == Exit::Missing => {
            context.report.warn(&format!("{error:#}"));
            Ok(ClusterFacts::usual())
        }
        Err(error) => Err(error),
    }
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
    Ok(results.dir().join("tool").join(hash).join("cargo-kmod"))
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

/// What is the same in all commands of a submission.
struct SubmitLetter<'a> {
    request: &'a SlurmRequest,
    results: &'a ResultsDir,
    tool: &'a Utf8Path,
    nonce: String,
    variables: Vec<(String, OsString)>,
}

/// Of all variables those that are given to sbatch.
fn given(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, OsString)> {
    let named = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    named.filter(|(name, _)| ENVIRONMENT.contains(&name.as_str()) || name.starts_with(OPTIONS)).collect()
}

impl SubmitLetter<'_> {
    /// Arrays of tasks, of which the cluster takes so many in one.
    fn orders(&self, kernels: &[Release], most: usize) -> Vec<SubmitOrder> {
        let arrays = kernels.chunks(most.max(1)).enumerate();
        let order = |(number, kernels): (usize, &[Release])| SubmitOrder {
            sbatch: self.sbatch(kernels.len(), (number > 0).then_some("JOB")),
            kernels: kernels.to_vec(),
        };
        arrays.map(order).collect()
    }

    /// The command that submits an array of so many tasks. The limit is one of each array
    /// (sbatch(1), `--array`): so that it is one of all, an array begins when the one `before` it
    /// has ended.
    fn sbatch(&self, tasks: usize, before: Option<&str>) -> Cmd {
        let (request, dir) = (self.request, self.results.dir());
        let last = tasks.saturating_sub(1);
        let limit = request.limit.map(|limit| format!("%{limit}")).unwrap_or_default();
        let before = before.filter(|_| request.limit.is_some());
        let options = [
            before.map(|job| format!("--dependency=afterany:{job}")),
            request.queue.as_ref().map(|queue| format!("--partition={queue}")),
            request.time.as_ref().map(|time| format!("--time={time}")),
        ];
        let bare = self.variables.iter().fold(Cmd::new("sbatch").clean_env(), |cmd, (name, value)| {
            // What the user has set need not be shown in the line.
            cmd.secret_env(name, value)
        });
        bare.args(["--parsable", "--requeue", "--open-mode=append", "--signal=B:TERM@60"])
            .arg("--kill-on-invalid-dep=yes")
            .arg("--job-name=kmod-matrix")
            .arg(format!("--array=0-{last}{limit}"))
            .arg(format!("--cpus-per-task={}", request.cpus))
            .arg(format!("--mem={}M", request.memory))
            .arg("--export=ALL")
            .arg(format!("--chdir={dir}"))
            .arg(format!("--output={}/slurm/%A_%a.log", literal(dir)))
            .args(options.into_iter().flatten())
            .args([dir.join("slurm/task.sh").as_str(), self.tool.as_str(), dir.as_str(), &self.nonce])
            .args(request.broadcast.then_some(script::BROADCAST))
    }
}

/// A path in a pattern of sbatch(1), "FILENAME PATTERN".
fn literal(path: &Utf8Path) -> String {
    path.as_str().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_environment_little_is_given() {
        let all = ["PATH", "SECRET", "SBATCH_ACCOUNT", "SLURM_RESTART_COUNT", "SLURM_CONF", "HOMES"];
        let given = given(all.iter().map(|name| (OsString::from(name), OsString::from("x"))));
        let names: Vec<&str> = given.iter().map(|(name, _)| name.as_str()).collect();
        // One submits from a job, too: what that is told of itself is not the tasks'.
        assert_eq!(names, ["PATH", "SBATCH_ACCOUNT", "SLURM_CONF"]);
    }

    #[test]
    fn a_command_for_each_array() {
        let results = ResultsDir::planned(Utf8Path::new("/a b/50%"));
        let tool = Utf8Path::new("/a b/50%/tool/0/cargo-kmod");
        let kernels: Vec<Release> = (0..3).map(|number| format!("1.0.{number}").parse().unwrap()).collect();
        let lines = |request: &SlurmRequest| -> Vec<String> {
            let variables = vec![("PATH".to_owned(), OsString::from("/bin"))];
            let letter = SubmitLetter { request, results: &results, tool, nonce: "n".to_owned(), variables };
            letter.orders(&kernels, 2).iter().map(|order| order.sbatch.line()).collect()
        };
        let all = "sbatch --parsable --requeue --open-mode=append --signal=B:TERM@60 \
                   --kill-on-invalid-dep=yes --job-name=kmod-matrix";
        let rest = "--cpus-per-task=2 --mem=500M --export=ALL '--chdir=/a b/50%' \
                    '--output=/a b/50%%/slurm/%A_%a.log'";
        let script = "'/a b/50%/slurm/task.sh' '/a b/50%/tool/0/cargo-kmod' '/a b/50%' n";
        let plain = SlurmRequest { cpus: 2, memory: 500, ..SlurmRequest::default() };
        assert_eq!(
            lines(&plain),
            [format!("{all} --array=0-1 {rest} {script}"), format!("{all} --array=0-0 {rest} {script}"),]
        );
        let limited = SlurmRequest {
            limit: Some(1),
            queue: Some("long".to_owned()),
            time: Some("1:00:00".to_owned()),
            broadcast: true,
            ..plain
        };
        let queue = "--partition=long --time=1:00:00";
        assert_eq!(
            lines(&limited),
            [
                format!("{all} --array=0-1%1 {rest} {queue} {script} broadcast"),
                format!("{all} --array=0-0%1 {rest} --dependency=afterany:JOB {queue} {script} broadcast"),
            ]
        );
    }
}
