// SPDX-License-Identifier: GPL-2.0
//! Slurm's programs: what is asked of the controller, and what its silence means.

use std::time::Duration;

use anyhow::Result;
use report::Report;
use report::failure::{Exit, Failure, program_of};
use report::process::{Cmd, Output};

use super::jobs::{self, JobState};
use super::version::SlurmVersion;

/// So long the controller may take for an answer: its clients try again for a minute and more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The size of an array where the controller does not say, as Slurm has it by default.
const USUAL_ARRAY: usize = 1001;

/// The controller, by its clients.
#[derive(Debug)]
pub struct SlurmClient<'a> {
    report: &'a Report,
}

/// What the controller says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClusterFacts {
    /// What it is called.
    pub(super) name: String,
    /// One more than the highest index of an array (slurm.conf(5), MaxArraySize).
    pub(super) array: usize,
}

impl ClusterFacts {
    /// Of a cluster that cannot be asked.
    pub(super) fn usual() -> Self {
        Self { name: String::new(), array: USUAL_ARRAY }
    }
}

impl<'a> SlurmClient<'a> {
    /// The clients of this machine, of a version that will do.
    ///
    /// # Errors
    ///
    /// Missing, if there are none; refused, if they are too old.
    pub fn find(report: &'a Report) -> Result<Self> {
        let client = Self { report };
        let said = client.ask(Cmd::new("sbatch").arg("--version"))?.text();
        match SlurmVersion::parse(&said) {
            Some(version) if version.is_too_old() => {
                let reason = format!("is {}, and {} or later is needed", said.trim(), SlurmVersion::oldest());
                Err(Failure::refused("sbatch", reason).remedy("run it here: cargo kmod matrix run").into())
            }
            Some(_) => Ok(client),
            None => {
                report.warn(&format!(
                    "`sbatch --version` says {:?}, which is no version of Slurm",
                    said.trim()
                ));
                Ok(client)
            }
        }
    }

    /// Runs a client. One that does not reach the controller is an error that says so.
    fn ask(&self, cmd: Cmd) -> Result<Output> {
        let line = cmd.line();
        // What it prints is for the tool: no step shows it as how far it is.
        let ended = cmd.limit(PATIENCE).finish_with(self.report, |_| {});
        let output = ended.map_err(|error| explained(error, &line))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = output.tail.trim();
        if is_silence(said) {
            return Err(silent(said).into());
        }
        Err(Failure::new(Exit::Failed, line, said.lines().next_back().unwrap_or("failed").to_owned()).into())
    }

    /// What the controller says of itself.
    pub(super) fn facts(&self) -> Result<ClusterFacts> {
        Ok(facts(&self.ask(Cmd::new("scontrol").args(["show", "config"]))?.text()))
    }

    /// Submits a job; gives its number.
    pub(super) fn submit(&self, sbatch: Cmd) -> Result<u64> {
        let line = sbatch.line();
        let said = self.ask(sbatch)?.text();
        // With --parsable: the number, and on some clusters `;NAME`.
        let number = said.trim().lines().next_back().and_then(|line| line.split(';').next()?.parse().ok());
        Ok(number.ok_or_else(|| Failure::new(Exit::Failed, line, format!("says {:?}", said.trim())))?)
    }

    /// What becomes of the tasks of these jobs; nothing of those that Slurm knows no more.
    ///
    /// # Errors
    ///
    /// Missing, if the controller does not answer.
    pub fn states(&self, jobs: &[u64]) -> Result<Vec<JobState>> {
        let mut all = Vec::new();
        // One that is not known any more would hide the others.
        for job in jobs {
            let ask = Cmd::new("squeue")
                .args(["--array", "--noheader", "--states=all", "--jobs", &job.to_string()])
                .arg(format!("--format={}", jobs::FORMAT));
            match self.ask(ask) {
                Ok(output) => all.extend(jobs::parse(&output.text())),
                Err(error) if format!("{error:#}").contains("Invalid job id") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Cancels these jobs.
    ///
    /// # Errors
    ///
    /// Missing, if the controller does not answer.
    pub fn cancel(&self, jobs: &[u64]) -> Result<()> {
        let numbers = jobs.iter().map(u64::to_string);
        self.ask(Cmd::new("scancel").args(numbers)).map(drop)
    }

    /// Has a task begin again on whatever node.
    pub(super) fn requeue(&self, task: &str) -> Result<()> {
        self.ask(Cmd::new("scontrol").args(["requeue", task])).map(drop)
    }
}

/// Of a program that is missing, what supplies it.
fn explained(error: anyhow::Error, line: &str) -> anyhow::Error {
    if let Some(program) = program_of(&error) {
        return Failure::missing(
            format!("`{program}`"),
            "no such program on this machine: it is one of Slurm's",
        )
        .remedy("install Slurm's clients (slurm-client, in Debian), or run it here: cargo kmod matrix run")
        .into();
    }
    if format!("{error:#}").contains("not finished after") {
        return silent(&format!("`{line}` has no answer after {} s", PATIENCE.as_secs())).into();
    }
    error
}

/// Whether a client says that it does not reach the controller, or does not know where it is.
fn is_silence(said: &str) -> bool {
    ["Unable to contact slurm controller", "Could not establish a configuration source", "Connection refused"]
        .iter()
        .any(|words| said.contains(words))
        || said.contains("Socket timed out")
}

fn silent(said: &str) -> Failure {
    let said = said.lines().next_back().unwrap_or_default();
    Failure::missing("Slurm's controller", format!("does not answer: {said}"))
        .remedy("see with sinfo whether it is up, and whether SLURM_CONF names its configuration")
}

/// Reads what `scontrol show config` prints.
fn facts(text: &str) -> ClusterFacts {
    let value = |key: &str| {
        let line = text.lines().find(|line| line.split('=').next().is_some_and(|name| name.trim() == key))?;
        line.split_once('=').map(|(_, value)| value.trim().to_owned())
    };
    ClusterFacts {
        name: value("ClusterName").unwrap_or_default(),
        array: value("MaxArraySize").and_then(|size| size.parse().ok()).unwrap_or(USUAL_ARRAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_says_of_itself_is_read() {
        let text = "Configuration data as of 2026-11-28T09:02:11\nClusterName             = trial\n\
                    MaxArraySize            = 201\nMaxArraySizeOther = 3\n";
        assert_eq!(facts(text), ClusterFacts { name: "trial".to_owned(), array: 201 });
        assert_eq!(facts("").array, USUAL_ARRAY);
    }

    #[test]
    fn silence_is_told_from_a_refusal() {
        for said in [
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
            "sbatch: fatal: Could not establish a configuration source",
            "slurm_load_jobs error: Socket timed out on send/recv operation",
        ] {
            assert!(is_silence(said), "{said}");
        }
        assert!(!is_silence("sbatch: error: invalid partition specified: nowhere"));
    }
}
