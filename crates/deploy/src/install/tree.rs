// SPDX-License-Identifier: GPL-2.0
//! The files of one release that depmod reads, and what changed among them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::journal::STATE;
use kmodfile::name::of_file;
use kmodfile::release::Release;

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
    dangling: Vec<DanglingLink>,
}

/// A link that is named like a module and that leads to no file, or out of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DanglingLink {
    /// The link, relative to the release's directory.
    pub path: Utf8PathBuf,
    /// The release's directory.
    dir: Utf8PathBuf,
    /// Where it leads, as it says.
    target: Utf8PathBuf,
}

impl std::fmt::Display for DanglingLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, dir, target } = self;
        write!(f, "{}: this link leads to {target}, where depmod finds no module", dir.join(path))?;
        if !path.starts_with("weak-updates") {
            return Ok(());
        }
        let kernel = dir.file_name().unwrap_or_default();
        write!(f, "; cargo kmod weak-modules --add-kernel {kernel} makes it anew or removes it")
    }
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
    pub fn scan(system: &TargetSystem, release: &Release) -> Result<Self> {
        let dir = &system.release_dir(release)?;
        let skipped = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().to_str().unwrap_or_default();
            entry.depth() == 1 && matches!(name, "build" | "source" | STATE)
        };
        let (mut files, mut dangling) = (BTreeMap::new(), Vec::new());
        let walk = walkdir::WalkDir::new(dir).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| !skipped(entry)) {
            let entry = entry.with_context(|| format!("looking for modules in {dir}"))?;
            let Some(path) = Utf8Path::from_path(entry.path()) else { continue };
            if entry.file_type().is_dir() || of_file(entry.file_name().to_str().unwrap_or_default()).is_none()
            {
                continue;
            }
            let below = path.strip_prefix(dir).expect("the walk stays below").to_owned();
            // A dangling link is not a module; depmod skips it, too.
            if entry.path_is_symlink() && leads_nowhere(system, path) {
                let target = path.read_link_utf8().unwrap_or_default();
                dangling.push(DanglingLink { path: below, dir: dir.clone(), target });
            } else if let Ok(stamp) = Stamp::of(path) {
                files.insert(below, stamp);
            }
        }
        Ok(Self { dir: dir.clone(), files, dangling })
    }

    /// Links named like modules that lead to none.
    pub fn dangling(&self) -> &[DanglingLink] {
        &self.dangling
    }

    /// The names of its modules.
    pub fn names(&self) -> BTreeSet<String> {
        self.files().filter_map(|path| of_file(path.file_name()?)).collect()
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

/// Whether there is no file at the end of a link, or one outside of the system: an absolute link of
/// a tree is followed by depmod to what the machine itself has there.
fn leads_nowhere(system: &TargetSystem, link: &Utf8Path) -> bool {
    link.canonicalize_utf8().map_or(true, |end| !end.starts_with(system.root()))
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
