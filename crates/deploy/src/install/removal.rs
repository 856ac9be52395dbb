// SPDX-License-Identifier: GPL-2.0
//! Plans what uninstalling modules from one release changes. When the last one is uninstalled,
//! everything is as it was before the first was installed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::change::NewContent;
use crate::install::index::{ReleaseChanges, ReleaseMirror, is_index};
use crate::install::initramfs;
use crate::install::installation::{Changes, require_unchanged};
use crate::install::journal::{Action, Expected, Journal};
use crate::install::record::{Before, Installed, Record};
use crate::install::system::TargetSystem;
use crate::install::transaction::{Seen, TransactionPlan, require_none};
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable::{Digest, digest_of};
use report::failure::Failure;

/// Plans what uninstalling `names` from `release` changes. The system is not changed; the caller
/// must hold its lock.
///
/// # Errors
///
/// Missing, if one of them is not installed; refused, if one of its files was changed since.
pub fn plan(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    names: &[String],
    initramfs: initramfs::InitramfsChoice,
) -> Result<TransactionPlan> {
    require_none(system, release)?;
    let record = Record::read(system, release)?;
    let others = Record::others(system, release)?;
    let tree = ReleaseTree::scan(system, release)?;
    Planning { context, system, release, record, others, tree }.plan(names, initramfs)
}

struct Planning<'a> {
    context: &'a Context,
    system: &'a TargetSystem,
    release: &'a Release,
    record: Record,
    others: Vec<(Release, Record)>,
    tree: ReleaseTree,
}

impl Planning<'_> {
    fn plan(&self, names: &[String], choice: initramfs::InitramfsChoice) -> Result<TransactionPlan> {
        let (mut left, mut expected) = (self.record.clone(), BTreeMap::new());
        for name in names {
            let installed = left.modules.remove(name).ok_or_else(|| self.not_installed(name))?;
            expected.insert(name.clone(), Expected::OtherThan(installed.file));
        }
        let (mut changes, difference) = self.files(names, &left)?;
        let seen = Seen::of(self.system, &self.tree, self.ours())?;
        let index = self.index(&left, &seen, &difference)?;
        self.state(&left, &mut changes)?;
        changes.add_index(self.system, self.release, index)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (changes, new) = changes.in_order();
        let journal = Journal {
            release: self.release.clone(),
            action: Action::Uninstall,
            make_dirs: Vec::new(),
            drop_dirs: self.dirs_to_drop(&left),
            changes,
            expected,
            initramfs: initramfs::concerned(self.context, self.system, self.release, &names, choice)?,
            reload: Vec::new(),
        };
        Ok(TransactionPlan { journal, new, seen })
    }

    fn not_installed(&self, name: &str) -> Failure {
        let there: Vec<&str> = self.record.modules.keys().map(String::as_str).collect();
        let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
        Failure::missing(
            name,
            format!("is not installed for {} by this tool; installed: {there}", self.release),
        )
        .remedy("cargo kmod status")
    }

    /// The changes to the modules' own files, except those that another release needs, too.
    fn files(&self, names: &[String], left: &Record) -> Result<(Changes, ReleaseChanges)> {
        let (mut changes, mut difference) = (Changes::default(), ReleaseChanges::default());
        let files = names.iter().filter_map(|name| self.record.modules.get(name)).flat_map(|own| &own.files);
        for (path, digest) in files.filter(|(path, _)| !self.is_needed(path, left)) {
            require_unchanged(self.system, path, digest)?;
            if let Ok(file) = path.strip_prefix(TargetSystem::relative_dir(self.release)) {
                difference.removed.push(file.to_owned());
            } else if path.starts_with("etc/depmod.d") {
                difference.depmod_d.insert(path.file_name().unwrap_or_default().to_owned(), None);
            }
            changes.add(self.system, path.clone(), NewContent::Nothing)?;
        }
        Ok((changes, difference))
    }

    fn is_needed(&self, path: &Utf8Path, left: &Record) -> bool {
        let mut records = self.others.iter().map(|(_, record)| record).chain([left]);
        records.any(|record| record.digest_of(path).is_some())
    }

    /// depmod's index: the one from before the first installation if everything else is as it was
    /// then, otherwise a new one.
    fn index(
        &self,
        left: &Record,
        seen: &Seen,
        difference: &ReleaseChanges,
    ) -> Result<Vec<(String, NewContent)>> {
        if left.modules.is_empty()
            && let Some(before) = self.whole_before(seen)?
        {
            return self.index_of_before(before);
        }
        let mirror = ReleaseMirror::make(self.context, self.system, self.release, &self.tree, difference)?;
        Ok(mirror.files()?.into_iter().map(|(name, bytes)| (name, NewContent::Bytes(bytes))).collect())
    }

    /// depmod's index from before, if nothing else has changed since and it was kept unchanged.
    fn whole_before(&self, seen: &Seen) -> Result<Option<&Before>> {
        let Some(before) =
            self.record.before.as_ref().filter(|before| before.fingerprint == seen.fingerprint)
        else {
            return Ok(None);
        };
        for (name, digest) in &before.files {
            if digest_of(&self.before(name))?.as_ref() != Some(digest) {
                return Ok(None);
            }
        }
        Ok(Some(before))
    }

    fn before(&self, name: &str) -> Utf8PathBuf {
        self.system.path(Record::before_dir(self.release)).join(name)
    }

    fn index_of_before(&self, before: &Before) -> Result<Vec<(String, NewContent)>> {
        let kept = |name: &String| (name.clone(), NewContent::Link(self.before(name)));
        let mut files: Vec<(String, NewContent)> = before.files.keys().map(kept).collect();
        for entry in self.system.release_dir(self.release)?.read_dir_utf8()? {
            let name = entry?.file_name().to_owned();
            if is_index(name.as_str().into()) && !before.files.contains_key(&name) {
                files.push((name, NewContent::Nothing));
            }
        }
        Ok(files)
    }

    /// The changes to the record, and to what was kept beside it.
    fn state(&self, left: &Record, changes: &mut Changes) -> Result<()> {
        let record = Record::relative(self.release);
        if !left.modules.is_empty() {
            return changes.add(self.system, record, NewContent::Bytes(left.bytes()));
        }
        let kept: BTreeMap<String, Digest> =
            self.record.before.iter().flat_map(|before| before.files.clone()).collect();
        for name in kept.keys() {
            changes.add(self.system, Record::before_dir(self.release).join(name), NewContent::Nothing)?;
        }
        changes.add(self.system, record, NewContent::Nothing)
    }

    /// Directories that installations created, the inner ones first. That of the state goes with
    /// the last module.
    fn dirs_to_drop(&self, left: &Record) -> Vec<Utf8PathBuf> {
        if !left.modules.is_empty() {
            return Vec::new();
        }
        let state = Record::before_dir(self.release);
        let dirs: BTreeSet<Utf8PathBuf> = self.record.made_dirs.iter().cloned().chain([state]).collect();
        dirs.into_iter().rev().collect()
    }

    fn ours(&self) -> BTreeSet<Utf8PathBuf> {
        let records = self.others.iter().map(|(_, record)| record).chain([&self.record]);
        let modules: Vec<&Installed> = records.flat_map(|record| record.modules.values()).collect();
        modules.into_iter().flat_map(|own| own.files.keys().cloned()).collect()
    }
}
