// SPDX-License-Identifier: GPL-2.0
//! What a package of artefacts says of itself. Exported names are equal in all flavours of a
//! version, where layouts are not, so that names alone do not say which kernel artefacts are for.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::artefacts::collection::Artefacts;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::durable::{Digest, digest};
use report::failure::Failure;

/// Its name in the directory that a package puts artefacts in.
pub const MANIFEST: &str = "artefacts.json";

/// What artefacts in a package were made for and with, and the digest of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The kernel.
    pub release: Release,
    /// The version of its headers package.
    pub version: String,
    /// What the compiler says of its version; no other reads them.
    pub rustc: String,
    /// The architecture that modules are built on: macros are programs of it.
    pub host: Architecture,
    /// The digest of the kernel's `Module.symvers`.
    pub symvers: Digest,
    /// The digest of each file.
    pub files: BTreeMap<Utf8PathBuf, Digest>,
}

impl Manifest {
    /// Where packages put the artefacts of `release`, below `/`.
    pub fn place_of(release: &Release) -> Utf8PathBuf {
        Utf8PathBuf::from("usr/src").join(Self::package_of(release))
    }

    /// The name of the package of the artefacts of `release`.
    pub fn package_of(release: &Release) -> String {
        format!("linux-librust-{release}")
    }

    /// The digests of `artefacts`.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn digests(artefacts: &Artefacts) -> Result<BTreeMap<Utf8PathBuf, Digest>> {
        let files = artefacts.files().iter();
        files.map(|file| Ok((file.clone(), digest(&artefacts.read(file)?)))).collect()
    }

    /// Reads that of the artefacts in `dir`.
    ///
    /// # Errors
    ///
    /// Refused, if there is none, or none that is understood.
    pub fn read(dir: &Utf8Path) -> Result<Self, Failure> {
        let file = dir.join(MANIFEST);
        let refused = |why: String| {
            Failure::refused(file.as_str(), why).remedy("take a package that cargo kmod kernel package made")
        };
        let text = fs_err::read(&file).map_err(|error| refused(format!("cannot be read: {error}")))?;
        serde_json::from_slice(&text)
            .map_err(|error| refused(format!("does not describe Rust artefacts: {error}")))
    }

    /// What it is kept as.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("names and digests are text");
        format!("{text}\n")
    }

    /// Refuses it for another kernel than this one.
    ///
    /// # Errors
    ///
    /// Refused, if release, version or symbols are others.
    pub fn require_kernel(
        &self,
        release: &Release,
        version: &str,
        symvers: &str,
        object: &str,
    ) -> Result<(), Failure> {
        let refused = |reason: String| {
            let remedy = format!(
                "take the artefacts of this kernel, or make them: cargo kmod kernel prepare {release}"
            );
            Err(Failure::refused(object, reason).remedy(remedy))
        };
        if self.release != *release {
            return refused(format!("holds the Rust artefacts of kernel {}, not of {release}", self.release));
        }
        if self.version != version {
            let reason = format!(
                "its artefacts were made for version {} of {release}, and its headers are {version}",
                self.version
            );
            return refused(reason);
        }
        if self.symvers != digest(symvers.as_bytes()) {
            return refused(format!(
                "its artefacts were made for other symbols than {release} {version} exports"
            ));
        }
        Ok(())
    }

    /// Refuses `artefacts` that are not those that it describes.
    ///
    /// # Errors
    ///
    /// Refused, with the first file that differs.
    pub fn require_files(&self, artefacts: &Artefacts, object: &str) -> Result<()> {
        let found = Self::digests(artefacts)?;
        let files = self.files.keys().chain(found.keys());
        let differing = files.into_iter().find(|file| self.files.get(*file) != found.get(*file));
        let Some(file) = differing else { return Ok(()) };
        let reason = format!("{file} in it is not the file that it was made with");
        Err(Failure::refused(object, reason).remedy("install or download the package again").into())
    }
}
