// SPDX-License-Identifier: GPL-2.0
//! What was seen when kernels were tried: a file of the repository.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::version;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::durable;
use serde::{Deserialize, Serialize};

/// What came of one module in one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum TrialOutcome {
    /// It was built, loaded and removed, and the kernel had nothing to complain of.
    Passed,
    /// The kernel cannot have such a module.
    Impossible {
        /// Why.
        why: String,
    },
    /// It was not built, or it did not load as it should.
    Failed {
        /// The tool's exit status.
        status: i32,
        /// What the tool said.
        why: String,
    },
}

/// A kernel that was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedKernel {
    /// Its release.
    pub release: Release,
    /// What it is for.
    pub architecture: Architecture,
    /// Where it is from: a suite of the archive, `source`, `installed` or `sanitizing`.
    pub origin: String,
    /// The C compiler that it was built with: `gcc-14`, `clang-21`.
    pub compiler: String,
    /// The version of its Rust compiler, if it has Rust.
    pub rustc: Option<String>,
    /// Whether its symbols carry CRCs.
    pub modversions: bool,
    /// The Rust symbols that it exports, each of which was proven; none in a kernel without Rust.
    pub rust_symbols: usize,
    /// A module in C.
    pub c: TrialOutcome,
    /// A module in Rust.
    pub rust: TrialOutcome,
    /// The guard of this repository, in Rust with C behind it.
    pub guard: TrialOutcome,
}

/// All kernels that were tried, newest first within an architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialRecord {
    kernels: Vec<TriedKernel>,
}

impl TrialRecord {
    /// Where the record is in a repository.
    pub fn file(repository: &Utf8Path) -> Utf8PathBuf {
        repository.join("docs/kernels.json")
    }

    /// Reads it; empty, if there is none yet.
    ///
    /// # Errors
    ///
    /// If it is damaged.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        serde_json::from_str(&fs_err::read_to_string(file)?).with_context(|| format!("{file} is damaged"))
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, file: &Utf8Path) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        durable::replace(file, text.as_bytes())
    }

    /// Adds a kernel; what was known of the same release is forgotten.
    pub fn note(&mut self, tried: TriedKernel) {
        self.kernels.retain(|known| known.release != tried.release);
        self.kernels.push(tried);
        self.kernels.sort_by(|a, b| {
            let newest = || version::compare(b.release.as_str(), a.release.as_str());
            a.architecture.debian().cmp(b.architecture.debian()).then_with(newest)
        });
    }

    /// The kernels.
    pub fn kernels(&self) -> &[TriedKernel] {
        &self.kernels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_tried_again_is_there_once_and_in_its_place() {
        let tried = |release: &str, architecture, rust_symbols| TriedKernel {
            release: release.parse().unwrap(),
            architecture,
            origin: "sid".to_owned(),
            compiler: "gcc-16".to_owned(),
            rustc: None,
            modversions: false,
            rust_symbols,
            c: TrialOutcome::Passed,
            rust: TrialOutcome::Impossible { why: "no Rust".to_owned() },
            guard: TrialOutcome::Failed { status: 10, why: "refused".to_owned() },
        };
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("kernels.json");
        let mut record = TrialRecord::read(&file).unwrap();
        for (release, architecture, symbols) in [
            ("7.2.9-amd64", Architecture::Amd64, 1),
            ("7.2.9-arm64", Architecture::Arm64, 2),
            ("7.2.13-amd64", Architecture::Amd64, 3),
            ("7.2.9-amd64", Architecture::Amd64, 4),
        ] {
            record.note(tried(release, architecture, symbols));
        }
        record.write(&file).unwrap();
        let read = TrialRecord::read(&file).unwrap();
        assert_eq!(read, record);
        let symbols: Vec<usize> = read.kernels().iter().map(|kernel| kernel.rust_symbols).collect();
        assert_eq!(symbols, [3, 4, 2]);
        fs_err::write(&file, "{").unwrap();
        assert!(TrialRecord::read(&file).unwrap_err().to_string().contains("is damaged"));
    }
}
