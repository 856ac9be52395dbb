// SPDX-License-Identifier: GPL-2.0
//! What a transaction is about to do to one release, written to disk before it starts.
//!
//! The journal is written once, under a name that says what a later run has to do if it finds it:
//! `journal.undo`. Committing renames it to `journal.forward`, which is atomic and needs no disk
//! space; giving up renames it back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::install::change::FileChange;
use crate::install::initramfs::Rebuild;
use crate::install::system::TargetSystem;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;

/// The directory in `/lib/modules/RELEASE` with the journal and the record. Nothing in it is named
/// like a module.
pub const STATE: &str = ".cargo-kmod";

/// Directories of `/etc` for drop-ins.
pub const DROP_INS: [&str; 3] = ["etc/depmod.d", "etc/modprobe.d", "etc/modules-load.d"];

/// What has to be done with a transaction that is found on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was not committed, or failed after that: restore the old files.
    Undo,
    /// It was committed: finish it.
    Forward,
}

impl Direction {
    fn file_name(self) -> &'static str {
        match self {
            Self::Undo => "journal.undo",
            Self::Forward => "journal.forward",
        }
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It installs modules.
    Install,
    /// It uninstalls modules.
    Uninstall,
}

impl Action {
    /// The verbs for the action in progress and when it is done.
    pub fn verbs(self) -> (&'static str, &'static str) {
        match self {
            Self::Install => ("Installing", "Installed"),
            Self::Uninstall => ("Uninstalling", "Uninstalled"),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Install => "the installation",
            Self::Uninstall => "the removal",
        }
    }
}

/// What modprobe must do for a module's name when the transaction is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Load this file of the release's directory.
    File(Utf8PathBuf),
    /// Load any file but this one, or no longer know such a module.
    OtherThan(Utf8PathBuf),
}

/// The changes to one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The release.
    pub release: Release,
    /// What is done to it.
    pub action: Action,
    /// Directories that are created first, and removed if it is undone, each after its parent.
    pub make_dirs: Vec<Utf8PathBuf>,
    /// Directories that are removed at the end if they are empty, each before its parent.
    pub drop_dirs: Vec<Utf8PathBuf>,
    /// The files, in the order in which they are changed.
    pub changes: Vec<FileChange>,
    /// What the result is checked against, by module name.
    pub expected: BTreeMap<String, Expected>,
    /// The initramfs to rebuild.
    pub initramfs: Option<Rebuild>,
    /// Modules in memory that are to be replaced, each after its dependencies.
    pub reload: Vec<String>,
}

impl Journal {
    /// The modules and the release, for messages: `x for 7.1`.
    pub fn subject(&self) -> String {
        let names: Vec<&str> = self.expected.keys().map(String::as_str).collect();
        format!("{} for {}", names.join(", "), self.release)
    }

    /// The transaction, for messages: `the removal of x for 7.1`.
    pub fn name(&self) -> String {
        format!("{} of {}", self.action.noun(), self.subject())
    }

    /// The state directory of one release, relative to `/`.
    pub fn state(release: &Release) -> Utf8PathBuf {
        TargetSystem::relative_dir(release).join(STATE)
    }

    fn path(system: &TargetSystem, release: &Release, direction: Direction) -> Utf8PathBuf {
        system.path(Self::state(release)).join(direction.file_name())
    }

    /// The journal that an earlier run has left, if any, and what has to be done with it.
    ///
    /// # Errors
    ///
    /// Refused, if it cannot be read or names files that no transaction of this tool would change.
    pub fn find(system: &TargetSystem, release: &Release) -> Result<Option<(Self, Direction)>> {
        for direction in [Direction::Forward, Direction::Undo] {
            let path = Self::path(system, release, direction);
            let Some(bytes) = read_if_there(&path)? else { continue };
            let journal: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error))?;
            journal.require_sane(release).map_err(|error| damaged(&path, error))?;
            return Ok(Some((journal, direction)));
        }
        Ok(None)
    }

    /// Writes it, not yet committed. Its directory is created first.
    pub fn write(&self, system: &TargetSystem) -> Result<()> {
        let state = system.path(Self::state(&self.release));
        fs_err::create_dir_all(&state)?;
        durable::sync_dir(state.parent().expect("it is in the release's directory"))?;
        let journal = Self::path(system, &self.release, Direction::Undo);
        durable::replace(&journal, &serde_json::to_vec_pretty(self)?)
    }

    /// Changes what a later run would do with it: commits, or gives up.
    pub fn turn(&self, system: &TargetSystem, to: Direction) -> Result<()> {
        let from = if to == Direction::Forward { Direction::Undo } else { Direction::Forward };
        let path = |direction| Self::path(system, &self.release, direction);
        durable::publish(&path(from), &path(to))
    }

    /// Removes it: the transaction is over.
    pub fn close(&self, system: &TargetSystem) -> Result<()> {
        for direction in [Direction::Forward, Direction::Undo] {
            durable::remove(&Self::path(system, &self.release, direction))?;
        }
        remove_idle_state(system, &self.release)
    }

    /// A journal is a file like any other: it is not trusted if it names files elsewhere.
    fn require_sane(&self, release: &Release) -> Result<()> {
        anyhow::ensure!(self.release == *release, "it is for kernel {}", self.release);
        let modules = TargetSystem::relative_dir(release);
        for name in &self.reload {
            anyhow::ensure!(self.expected.contains_key(name), "it reloads {name}, which it does not install");
        }
        let plain = |path: &Utf8Path| path.components().all(|part| matches!(part, Utf8Component::Normal(_)));
        let concerned = |path: &Utf8Path| {
            plain(path) && (path.starts_with(&modules) || DROP_INS.iter().any(|dir| path.starts_with(dir)))
        };
        for path in self.changes.iter().map(|change| &change.path) {
            anyhow::ensure!(concerned(path), "it names {path}");
        }
        for path in self.make_dirs.iter().chain(&self.drop_dirs) {
            anyhow::ensure!(concerned(path) || path == "etc", "it names {path}");
        }
        Ok(())
    }
}

/// Removes an incomplete journal that a stopped run has left, and the directory if it is empty.
pub fn remove_idle_state(system: &TargetSystem, release: &Release) -> Result<()> {
    let state = system.path(Journal::state(release));
    if !state.exists() {
        return Ok(());
    }
    durable::remove(&durable::unfinished(&Journal::path(system, release, Direction::Undo)))?;
    durable::sync_dir(&state)?;
    durable::remove_empty_dir(&state)
}

fn read_if_there(path: &Utf8Path) -> Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("looking for an interrupted change"),
    }
}

fn damaged(path: &Utf8Path, why: impl std::fmt::Display) -> Failure {
    Failure::refused(path.as_str(), format!("is not a valid journal: {why}"))
        .remedy("inspect it, remove it, and run depmod for that kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(path: &str) -> Journal {
        Journal {
            release: "7.1".parse().unwrap(),
            action: Action::Install,
            make_dirs: Vec::new(),
            drop_dirs: Vec::new(),
            changes: vec![FileChange { path: path.into(), new: None, existed: true, index: false }],
            expected: BTreeMap::new(),
            initramfs: None,
            reload: Vec::new(),
        }
    }

    #[test]
    fn a_journal_that_names_files_elsewhere_is_not_trusted() {
        let release = "7.1".parse().unwrap();
        for (path, sane) in [
            ("lib/modules/7.1/extra/x.ko", true),
            ("etc/depmod.d/x.conf", true),
            ("etc/passwd", false),
            ("lib/modules/7.2/extra/x.ko", false),
            ("lib/modules/7.1/../../../etc/passwd", false),
            ("/lib/modules/7.1/x", false),
        ] {
            assert_eq!(journal(path).require_sane(&release).is_ok(), sane, "{path}");
        }
        assert!(journal("lib/modules/7.1/x").require_sane(&"7.2".parse().unwrap()).is_err());
    }

    #[test]
    fn its_name_says_what_has_to_be_done_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(root.join("lib/modules/7.1")).unwrap();
        let system = TargetSystem::open(root).unwrap();
        let journal = journal("etc/depmod.d/x.conf");
        let found = || Journal::find(&system, &journal.release).unwrap();
        assert_eq!(found(), None);
        journal.write(&system).unwrap();
        assert_eq!(found(), Some((journal.clone(), Direction::Undo)));
        journal.turn(&system, Direction::Forward).unwrap();
        assert_eq!(found(), Some((journal.clone(), Direction::Forward)));
        journal.close(&system).unwrap();
        assert_eq!(found(), None);
        assert!(!system.path(Journal::state(&journal.release)).exists());
    }
}
