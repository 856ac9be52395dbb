// SPDX-License-Identifier: GPL-2.0
//! The corpus: small `dkms.conf` files of every shape that is met, and what the real dkms makes of
//! each, as it was written down by running it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use xtask::repository;

/// The kernel that the files are read for; there is none of this name.
pub(crate) const RELEASE: &str = "6.12.1+deb13-corpus-amd64";

/// How many programs make may run at once where the record was made: what nproc(1) prints there.
pub(crate) const JOBS: usize = 2;

/// The directory of the files.
pub(crate) fn confs() -> Utf8PathBuf {
    repository().join("tests/host/corpus/conf")
}

/// Their names without `.conf`, sorted.
pub(crate) fn names() -> Vec<String> {
    let entries = confs().read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path());
    let mut names: Vec<String> = entries.map(|path| path.file_stem().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// What a dkms makes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// `dkms add` ends with an error, and says this.
    Refused(Vec<String>),
    /// It takes it.
    Taken(Taken),
}

/// What a dkms has of a file that it takes, for [`RELEASE`] and x86_64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The directives.
    pub(crate) values: BTreeMap<String, Vec<(u32, String)>>,
    /// The modules: what make is to build, the name it is installed under, whether it is stripped.
    pub(crate) modules: Vec<(String, String, bool)>,
    /// What is run to build.
    pub(crate) make: String,
    /// The patches.
    pub(crate) patches: Vec<String>,
    /// Whether the package is not for this kernel.
    pub(crate) excluded: bool,
}

/// One line of the record.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    conf: String,
    dkms: Vec<String>,
    #[serde(flatten)]
    verdict: Verdict,
}

/// What each dkms makes of each file: by the file's name, then by dkms's version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) BTreeMap<String, BTreeMap<String, Verdict>>);

impl Record {
    fn file() -> Utf8PathBuf {
        repository().join("tests/host/corpus/record.jsonl")
    }

    /// As it was written down.
    pub(crate) fn read() -> Self {
        let mut record = Self::default();
        for line in fs_err::read_to_string(Self::file()).unwrap_or_default().lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            for dkms in line.dkms {
                record.0.entry(line.conf.clone()).or_default().insert(dkms, line.verdict.clone());
            }
        }
        record
    }

    /// Writes it down: a line for each file and all versions that make the same of it.
    #[allow(dead_code, reason = "the host suite only reads it")]
    pub(crate) fn write(&self) {
        let mut text = String::new();
        for (conf, verdicts) in &self.0 {
            let mut lines: Vec<Line> = Vec::new();
            for (dkms, verdict) in verdicts {
                match lines.iter_mut().find(|line| line.verdict == *verdict) {
                    Some(line) => line.dkms.push(dkms.clone()),
                    None => lines.push(Line {
                        conf: conf.clone(),
                        dkms: vec![dkms.clone()],
                        verdict: verdict.clone(),
                    }),
                }
            }
            lines.iter().for_each(|line| text += &format!("{}\n", serde_json::to_string(line).unwrap()));
        }
        fs_err::write(Self::file(), text).unwrap();
    }
}
