// SPDX-License-Identifier: GPL-2.0
//! What this tool has installed for one release, kept in its `/lib/modules/RELEASE`, so that it travels with the tree.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::install::journal::Journal;
use crate::install::module::Identity;
use crate::install::system::TargetSystem;
use kmodfile::release::Release;
use report::durable::Digest;
use report::failure::Failure;

/// All that is installed for one release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What depmod had made before anything was installed.
    pub before: Option<Before>,
    /// Directories that were made, relative to `/`.
    pub made_dirs: Vec<Utf8PathBuf>,
    /// The modules by name.
    pub modules: BTreeMap<String, Installed>,
}

/// depmod's files as they were, kept beside the record: they are put back when the last module goes, if all else is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// Of all that depmod read but what this tool put there.
    pub fingerprint: Digest,
    /// Each of its files by name.
    pub files: BTreeMap<String, Digest>,
}

/// One installed module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Its file, relative to the release's directory.
    pub file: Utf8PathBuf,
    /// What it says of itself.
    pub identity: Identity,
    /// Every file that belongs to it, relative to `/`, the drop-ins too.
    pub files: BTreeMap<Utf8PathBuf, Digest>,
    /// The module of the same name that modprobe loaded before.
    pub stock: Option<Stock>,
}

/// The module that an installed one stands before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Its file, relative to the release's directory.
    pub file: Utf8PathBuf,
    /// The digest of that file.
    pub digest: Digest,
    /// What it says of itself.
    pub identity: Identity,
}

impl Record {
    /// Where it is, relative to `/`.
    pub fn relative(release: &Release) -> Utf8PathBuf {
        Journal::state(release).join("record.json")
    }

    /// Where depmod's files are kept as they were, relative to `/`.
    pub fn before_dir(release: &Release) -> Utf8PathBuf {
        Journal::state(release).join("before")
    }

    /// The record of a release; an empty one where nothing is installed.
    pub fn read(system: &TargetSystem, release: &Release) -> Result<Self> {
        let path = system.path(Self::relative(release));
        match fs_err::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::refused(path.as_str(), format!("is no record of this tool: {error}"))
                    .remedy("move it away: what is installed for that kernel then counts as somebody else's")
                    .into()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// The records of the other releases of a system.
    pub fn others(system: &TargetSystem, release: &Release) -> Result<Vec<(Release, Self)>> {
        let others = system.releases().into_iter().filter(|other| other != release);
        others.map(|other| Ok((other.clone(), Self::read(system, &other)?))).collect()
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a record is plain data")
    }

    /// The digest a file should have, if it belongs to a module.
    pub fn digest_of(&self, path: &Utf8Path) -> Option<&Digest> {
        self.modules.values().find_map(|module| module.files.get(path))
    }

    /// Files in the release's directory that this tool put there, relative to it.
    pub fn module_files(&self) -> impl Iterator<Item = &Utf8Path> {
        self.modules.values().map(|module| module.file.as_path())
    }
}
