// SPDX-License-Identifier: GPL-2.0
//! depmod's index of a tree as it will be, made before the tree is changed.
//!
//! depmod runs over a mirror of symbolic links in which the changes have already been made. What it
//! writes there is, byte for byte, what it would write afterwards, and modprobe can be asked there
//! what it would load.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::depmod;
use crate::install::modprobe::{self, ModprobeAnswer};
use crate::install::system::TargetSystem;
use crate::install::tree::{self, DanglingLink, ReleaseTree};
use kernel::context::Context;
use kmodfile::name::of_file;
use kmodfile::release::Release;
use report::cache::remove_plain;
use report::durable::digest;

/// What is going to change in a release's directory and in depmod's configuration.
#[derive(Clone, Debug, Default)]
pub struct ReleaseChanges {
    /// Files that will be added, relative to the release's directory, and where their contents are
    /// now.
    pub added: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// Files that will be removed, relative to the release's directory.
    pub removed: Vec<Utf8PathBuf>,
    /// Drop-ins for depmod by file name: their text, or `None` for those that will be removed.
    pub depmod_d: BTreeMap<String, Option<String>>,
}

/// The mirror of a release as it will be, with depmod's index. It is removed when dropped; the next
/// run removes what a killed one left.
#[derive(Debug)]
pub struct ReleaseMirror {
    dir: tempfile::TempDir,
    release: Release,
}

impl ReleaseMirror {
    /// Makes the mirror of `tree` and runs depmod over it. The caller must hold the system's lock.
    pub fn make(
        context: &Context,
        system: &TargetSystem,
        release: &Release,
        tree: &ReleaseTree,
        difference: &ReleaseChanges,
    ) -> Result<Self> {
        let mirror = Self { dir: empty_dir(context, system, release)?, release: release.clone() };
        let conf = mirror.path().join("depmod.d");
        write_conf(system, &conf, &difference.depmod_d)?;
        fs_err::create_dir_all(mirror.path().join("lib/modules"))?;
        let real = system.release_dir(release)?;
        reflect(&real, &mirror.release_dir(), Utf8Path::new(""), difference)?;
        let remaining = |link: &&DanglingLink| !difference.removed.contains(&link.path);
        for link in tree.dangling().iter().filter(remaining) {
            context.report.warn(&link.to_string());
        }
        let listed = depmod::over(&context.report, system, mirror.path(), &[conf], release)?;
        depmod::require(release, &listed, &names(tree, difference))?;
        Ok(mirror)
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).expect("the cache's path is UTF-8")
    }

    fn release_dir(&self) -> Utf8PathBuf {
        self.path().join("lib/modules").join(&self.release)
    }

    /// The files that depmod wrote, by name.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for entry in self.release_dir().read_dir_utf8()? {
            let entry = entry?;
            // Everything that was not made by depmod is a link.
            if entry.file_type()?.is_file() {
                files.insert(entry.file_name().to_owned(), fs_err::read(entry.path())?);
            }
        }
        Ok(files)
    }

    /// What modprobe would load once the changes are made.
    pub fn ask(&self, context: &Context, system: &TargetSystem, name: &str) -> Result<ModprobeAnswer> {
        modprobe::ask(self.path(), system.root(), &self.release, name, &context.report)
    }
}

/// An empty directory in the cache, or with `--dry-run` outside of it. It has a new name each time,
/// so that a depmod left behind by a killed run cannot write into it.
fn empty_dir(context: &Context, system: &TargetSystem, release: &Release) -> Result<tempfile::TempDir> {
    if context.dry_run {
        return tempfile::tempdir().context("making a temporary directory");
    }
    let whose = digest(format!("{}\0{release}", system.root()).as_bytes());
    let place = context.cache.path("install").join(&whose[..16]);
    if place.exists() {
        remove_plain(&place)?;
    }
    fs_err::create_dir_all(&place)?;
    tempfile::tempdir_in(&place).with_context(|| format!("making a directory in {place}"))
}

fn write_conf(
    system: &TargetSystem,
    conf: &Utf8Path,
    changed: &BTreeMap<String, Option<String>>,
) -> Result<()> {
    fs_err::create_dir(conf)?;
    for (name, path) in tree::depmod_d(system) {
        if !changed.contains_key(&name) {
            fs_err::copy(path, conf.join(name))?;
        }
    }
    for (name, text) in changed {
        if let Some(text) = text {
            fs_err::write(conf.join(name), text)?;
        }
    }
    Ok(())
}

/// Makes `mirror/below` show what `real/below` will hold: links to what stays, directories where
/// something below changes.
fn reflect(real: &Utf8Path, mirror: &Utf8Path, below: &Utf8Path, difference: &ReleaseChanges) -> Result<()> {
    fs_err::create_dir(mirror.join(below))?;
    let changed = |path: &Utf8Path| {
        difference
            .added
            .keys()
            .chain(&difference.removed)
            .any(|changed| changed != path && changed.starts_with(path))
    };
    let made_by_depmod = |path: &Utf8Path| is_index(path);
    if let Ok(entries) = real.join(below).read_dir_utf8() {
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let gone = difference.removed.contains(&path) || difference.added.contains_key(&path);
            let skipped =
                below == "" && matches!(entry.file_name(), "build" | "source" | super::journal::STATE);
            if gone || skipped || made_by_depmod(&path) {
                continue;
            }
            if changed(&path) {
                reflect(real, mirror, &path, difference)?;
            } else {
                fs_err::os::unix::fs::symlink(entry.path(), mirror.join(&path))?;
            }
        }
    }
    for (path, file) in &difference.added {
        if path.parent() == Some(below) {
            fs_err::os::unix::fs::symlink(file, mirror.join(path))?;
        } else if let Some(next) = next_below(below, path)
            && !mirror.join(&next).exists()
        {
            reflect(real, mirror, &next, difference)?;
        }
    }
    Ok(())
}

/// The directory directly below `below` on the way to `path`.
fn next_below(below: &Utf8Path, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let rest = path.strip_prefix(below).ok()?;
    (rest.components().count() > 1).then(|| below.join(rest.components().next().expect("there are two")))
}

/// Whether depmod writes this file of a release's directory: `modules.*`, except the lists made by
/// the kernel's build.
pub fn is_index(path: &Utf8Path) -> bool {
    path.parent() == Some(Utf8Path::new(""))
        && path.as_str().starts_with("modules.")
        && !matches!(
            path.as_str(),
            "modules.order" | "modules.builtin" | "modules.builtin.modinfo" | "modules.builtin.ranges"
        )
}

/// The names of the modules that will be there.
fn names(tree: &ReleaseTree, difference: &ReleaseChanges) -> BTreeSet<String> {
    let left = tree.files().filter(|path| !difference.removed.iter().any(|removed| removed == path));
    let added = difference.added.keys().map(Utf8PathBuf::as_path);
    left.chain(added).filter_map(|path| of_file(path.file_name()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depmod_writes_is_told_from_what_comes_with_the_kernel() {
        for (name, made) in [
            ("modules.dep", true),
            ("modules.dep.bin", true),
            ("modules.weakdep", true),
            ("modules.order", false),
            ("modules.builtin", false),
            ("modules.builtin.bin", true),
            ("kernel/modules.dep", false),
            ("vmlinuz", false),
        ] {
            assert_eq!(is_index(name.into()), made, "{name}");
        }
    }

    #[test]
    fn the_mirror_shows_what_will_be() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (real, mirror) = (dir.join("real"), dir.join("mirror"));
        for file in ["kernel/a.ko", "extra/old.ko", "extra/kept.ko", "modules.dep", "modules.order", "new.ko"]
        {
            let path = if file == "new.ko" { dir.join(file) } else { real.join(file) };
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, file).unwrap();
        }
        let difference = ReleaseChanges {
            added: [("extra/sub/new.ko".into(), dir.join("new.ko"))].into(),
            removed: vec!["extra/old.ko".into()],
            depmod_d: BTreeMap::new(),
        };
        reflect(&real, &mirror, "".into(), &difference).unwrap();
        let read = |file: &str| fs_err::read_to_string(mirror.join(file)).ok();
        assert_eq!(read("kernel/a.ko").as_deref(), Some("kernel/a.ko"));
        assert_eq!(read("extra/kept.ko").as_deref(), Some("extra/kept.ko"));
        assert_eq!(read("extra/sub/new.ko").as_deref(), Some("new.ko"));
        assert_eq!(read("modules.order").as_deref(), Some("modules.order"));
        assert_eq!((read("extra/old.ko"), read("modules.dep")), (None, None));
    }
}
