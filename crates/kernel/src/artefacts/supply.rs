// SPDX-License-Identifier: GPL-2.0
//! Artefacts that somebody else made: from a package, installed or not.

use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::artefacts::collection::Artefacts;
use crate::artefacts::manifest::Manifest;
use kmodfile::release::Release;
use report::durable::digest;

/// Artefacts with what their package says of them. Nothing of that is believed before it is proven.
#[derive(Clone, Debug)]
pub struct SuppliedArtefacts {
    /// The files.
    pub artefacts: Artefacts,
    /// What their package says of them.
    pub manifest: Manifest,
    /// Where they are from, in messages: a file, a directory.
    pub source: String,
    /// What a package was unpacked into.
    _unpacked: Option<Arc<TempDir>>,
}

impl SuppliedArtefacts {
    /// Those in `dir`, where a package puts them; `source` in messages.
    ///
    /// # Errors
    ///
    /// Refused, if they are not what the package's own description says.
    pub fn in_dir(dir: &Utf8Path, source: &str) -> Result<Self> {
        let manifest = Manifest::read(dir)?;
        let artefacts = Artefacts::in_tree(dir)?;
        manifest.require_files(&artefacts, source)?;
        Ok(Self { artefacts, manifest, source: source.to_owned(), _unpacked: None })
    }

    /// The same, in a directory that goes when they do.
    ///
    /// # Errors
    ///
    /// Refused, if they are not what the package's own description says.
    pub fn unpacked(unpacked: TempDir, dir: &Utf8Path, source: &str) -> Result<Self> {
        Ok(Self { _unpacked: Some(Arc::new(unpacked)), ..Self::in_dir(dir, source)? })
    }

    /// Those installed in the system whose `/` is `root`, if they are.
    ///
    /// # Errors
    ///
    /// Refused, if they are not what their package's own description says.
    pub fn installed(root: &Utf8Path, release: &Release) -> Result<Option<Self>> {
        let dir: Utf8PathBuf = root.join(Manifest::place_of(release));
        if !dir.exists() {
            return Ok(None);
        }
        Self::in_dir(&dir, dir.as_str()).map(Some)
    }

    /// What they are known by.
    pub fn identity(&self) -> String {
        digest(self.manifest.text().as_bytes())
    }
}
