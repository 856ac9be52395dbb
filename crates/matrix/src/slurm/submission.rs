// SPDX-License-Identifier: GPL-2.0
//! What was submitted: kept beside the results, so that it is found again, and not submitted twice.

use anyhow::Result;
use camino::Utf8PathBuf;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use serde::{Deserialize, Serialize};

use crate::plan::PlanId;
use crate::results::ResultsDir;

/// What was submitted of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The plan.
    pub plan: PlanId,
    /// The cluster, as it calls itself.
    pub cluster: String,
    /// When, in seconds since 1970.
    pub when: u64,
    /// By which a node knows that it sees the directory of this submission.
    pub nonce: String,
    /// The job arrays.
    pub arrays: Vec<SubmittedArray>,
}

/// A job array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubmittedArray {
    /// Its job.
    pub job: u64,
    /// The kernel of each of its tasks.
    pub kernels: Vec<Release>,
}

impl Submission {
    /// Its file.
    pub(super) fn file(results: &ResultsDir) -> Utf8PathBuf {
        results.dir().join("submission.json")
    }

    /// What was submitted last with results there.
    ///
    /// # Errors
    ///
    /// Refused, if the file is spoilt.
    pub fn find(results: &ResultsDir) -> Result<Option<Self>> {
        let file = Self::file(results);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs_err::read_to_string(&file)?;
        let parsed = serde_json::from_str(&text);
        Ok(Some(parsed.map_err(|error| {
            let reason = format!("is no record of a submission: {error}");
            Failure::refused(file.as_str(), reason).remedy("remove it, once squeue shows no job of it")
        })?))
    }

    /// The same, where there has to be one.
    ///
    /// # Errors
    ///
    /// Missing, if nothing was submitted.
    pub fn open(results: &ResultsDir) -> Result<Self> {
        let none = || {
            Failure::missing(results.dir().as_str(), "nothing was submitted with results there")
                .remedy("cargo kmod matrix submit --slurm")
        };
        Ok(Self::find(results)?.ok_or_else(none)?)
    }

    /// Keeps it.
    pub(super) fn write(&self, results: &ResultsDir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("plain data");
        durable::replace(&Self::file(results), &text)
    }

    /// The jobs of its arrays.
    pub fn jobs(&self) -> Vec<u64> {
        self.arrays.iter().map(|array| array.job).collect()
    }

    /// The kernel of a task.
    pub fn kernel(&self, job: u64, index: usize) -> Option<&Release> {
        self.arrays.iter().find(|array| array.job == job)?.kernels.get(index)
    }
}
