// SPDX-License-Identifier: GPL-2.0
//! The files of one release that depmod reads, and what changed among them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::journal::STATE;
use kmodfile::name::of_file;

use crate::install::system::TargetSystem;
use report::durable::{Digest, digest};

/// What depmod reads in a release's directory besides modules.
const LISTS: [&str; 3] = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];

/// Directories of depmod's configuration in their order of precedence (depmod.d(5)), relative to
/// `/`.
const DEPMOD_D: [&str; 5] =
    ["etc/depmod.d", "run/depmod.d", "usr/local/lib/depmod.d", "lib/depmod.d", "usr/lib/depmod.d"];

/// The modules of a release.
#[derive(Clone, Debug)]
pub struct ReleaseTree {
    dir: Utf8PathBuf,
    files: BTreeMap<Utf8PathBuf, Stamp>,
}

/// Metadata that changes whenever the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Utf8Path) -> Result<Self> {
        let meta = fs_err::metadata(path)?;
        Ok(Self { size: meta.len(), seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() })
    }
}

impl std::fmt::Display for Stamp {
    /// In the form in which it is part of a fingerprint.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.size, self.seconds, self.nanoseconds)
    }
}

impl ReleaseTree {
    /// Finds the modules in the directory of a release.
    pub fn scan(dir: &Utf8Path) -> Result<Self> {
        let skipped = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().to_str().unwrap_or_default();
            entry.depth() == 1 && matches!(name, "build" | "source" | STATE)
        };
        let mut files = BTreeMap::new();
        for entry in walkdir::WalkDir::new(dir).into_iter().filter_entry(|entry| !skipped(entry)) {
            let entry = entry.with_context(|| format!("looking for modules in {dir}"))?;
            let Some(path) = Utf8Path::from_path(entry.path()) else { continue };
            if entry.file_type().is_dir() || of_file(entry.file_name().to_str().unwrap_or_default()).is_none()
            {
                continue;
            }
            // A dangling link is not a module; depmod skips it, too.
            if let Ok(stamp) = Stamp::of(path) {
                files.insert(path.strip_prefix(dir).expect("the walk stays below").to_owned(), stamp);
            }
        }
        Ok(Self { dir: dir.to_owned(), files })
    }

    /// The files of the module `name`, relative to the release's directory.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Utf8Path> {
        let of_name = move |path: &&Utf8PathBuf| path.file_name().and_then(of_file).as_deref() == Some(name);
        self.files.keys().filter(of_name).map(Utf8PathBuf::as_path)
    }

    /// Any module that came with the kernel.
    pub fn first(&self) -> Option<&Utf8Path> {
        self.files().find(|path| path.starts_with("kernel"))
    }

    /// Its modules, relative to the release's directory.
    pub fn files(&self) -> impl Iterator<Item = &Utf8Path> {
        self.files.keys().map(Utf8PathBuf::as_path)
    }

    /// A digest over everything that depmod reads, except the modules and drop-ins that are `ours`.
    pub fn fingerprint(&self, system: &TargetSystem, ours: impl Fn(&Utf8Path) -> bool) -> Result<Digest> {
        let relative =
            |path: &Utf8Path| self.dir.join(path).strip_prefix(system.root()).map(Utf8Path::to_owned);
        let mut text = String::new();
        for (path, stamp) in &self.files {
            if !ours(&relative(path)?) {
                text.push_str(&format!("module\0{path}\0{stamp}\n"));
            }
        }
        for list in LISTS.iter().filter(|list| self.dir.join(list).exists()) {
            text.push_str(&format!("list\0{list}\0{}\n", Stamp::of(&self.dir.join(list))?));
        }
        for (name, path) in depmod_d(system) {
            if !ours(path.strip_prefix(system.root())?) {
                text.push_str(&format!("depmod.d\0{name}\0{}\n", digest(&fs_err::read(&path)?)));
            }
        }
        Ok(digest(text.as_bytes()))
    }
}

/// depmod's configuration files that are in effect, by name. Of two files with the same name, the
/// one in the first directory is in effect.
pub fn depmod_d(system: &TargetSystem) -> BTreeMap<String, Utf8PathBuf> {
    let mut files = BTreeMap::new();
    for dir in DEPMOD_D.map(|dir| system.path(dir)) {
        for entry in dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok) {
            if entry.file_name().ends_with(".conf") && !entry.file_name().starts_with('.') {
                files.entry(entry.file_name().to_owned()).or_insert_with(|| entry.path().to_owned());
            }
        }
    }
    files
}
