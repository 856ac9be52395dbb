// SPDX-License-Identifier: GPL-2.0
//! The record of what this tool has installed for one release. It is kept in
//! `/lib/modules/RELEASE`, so that it stays with the tree.

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

/// Everything that is installed for one release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// depmod's index from before anything was installed.
    pub before: Option<Before>,
    /// Directories that were created, relative to `/`.
    pub made_dirs: Vec<Utf8PathBuf>,
    /// The modules, by name.
    pub modules: BTreeMap<String, Installed>,
}

/// depmod's index as it was, kept beside the record. It is restored when the last module is
/// uninstalled, if everything else is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The digest over everything that depmod read, except what this tool had installed.
    pub fingerprint: Digest,
    /// The digest of each of its files, by name.
    pub files: BTreeMap<String, Digest>,
}

/// One installed module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Its file, relative to the release's directory.
    pub file: Utf8PathBuf,
    /// Which build it is.
    pub identity: Identity,
    /// Every file that belongs to it, drop-ins included, relative to `/`.
    pub files: BTreeMap<Utf8PathBuf, Digest>,
    /// The module of the same name that modprobe loaded before.
    pub stock: Option<Stock>,
}

/// The module that an installed one takes precedence over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Its file, relative to the release's directory.
    pub file: Utf8PathBuf,
    /// The digest of that file.
    pub digest: Digest,
    /// Which build it is.
    pub identity: Identity,
}

impl Record {
    /// The record's file, relative to `/`.
    pub fn relative(release: &Release) -> Utf8PathBuf {
        Journal::state(release).join("record.json")
    }

    /// The directory where depmod's earlier index is kept, relative to `/`.
    pub fn before_dir(release: &Release) -> Utf8PathBuf {
        Journal::state(release).join("before")
    }

    /// Reads the record of a release; an empty one if nothing is installed.
    pub fn read(system: &TargetSystem, release: &Release) -> Result<Self> {
        let path = system.path(Self::relative(release));
        match fs_err::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::refused(path.as_str(), format!("is not a record of this tool: {error}"))
                    .remedy("move it away: what is installed for that kernel then counts as not installed by this tool")
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

    /// Its text as it is written.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a record is plain data")
    }

    /// The digest that a file should have, if it belongs to a module.
    pub fn digest_of(&self, path: &Utf8Path) -> Option<&Digest> {
        self.modules.values().find_map(|module| module.files.get(path))
    }

    /// Module files that this tool has installed, relative to the release's directory.
    pub fn module_files(&self) -> impl Iterator<Item = &Utf8Path> {
        self.modules.values().map(|module| module.file.as_path())
    }
}
