// SPDX-License-Identifier: GPL-2.0
//! One file that a transaction changes, in such a way that the change can be finished or undone at
//! any point.
//!
//! The new file lies beside its place as `.NAME.cargo-kmod-new`. The old one has a second name,
//! `.NAME.cargo-kmod-old`, so that its contents, mode, owner, times and attributes are kept. depmod
//! and modprobe ignore both names.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use report::durable::{self, Digest};
use report::failure::Failure;

/// A file to be written, replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// The file, relative to the system's `/`.
    pub path: Utf8PathBuf,
    /// The digest of its new contents; `None` if it is removed.
    pub new: Option<Digest>,
    /// Whether the file existed before.
    pub existed: bool,
    /// Whether it is part of depmod's index, which can be made again and which others may make in
    /// the meantime.
    pub index: bool,
}

/// What a file is replaced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A second name of this file, which stays.
    Link(Utf8PathBuf),
    /// No file.
    Nothing,
}

/// Who wrote a file last, when a change to it may or may not have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOwner {
    /// This transaction, or nobody since.
    Ours,
    /// Another program. For depmod's index that is legitimate, and the index has to be made again.
    Foreign,
}

impl FileChange {
    fn beside(&self, root: &Utf8Path, suffix: &str) -> Utf8PathBuf {
        let name = self.path.file_name().expect("a file has a name");
        root.join(&self.path).with_file_name(format!(".{name}.cargo-kmod-{suffix}"))
    }

    fn new_file(&self, root: &Utf8Path) -> Utf8PathBuf {
        self.beside(root, "new")
    }

    fn old_file(&self, root: &Utf8Path) -> Utf8PathBuf {
        self.beside(root, "old")
    }

    /// The directory that the file is in.
    pub fn dir(&self, root: &Utf8Path) -> Utf8PathBuf {
        root.join(&self.path).parent().expect("a file is in a directory").to_owned()
    }

    /// Writes beside the place everything that applying and undoing need, so that neither needs
    /// disk space.
    pub fn stage(&self, root: &Utf8Path, new: &NewContent) -> Result<()> {
        if self.existed {
            fs_err::hard_link(root.join(&self.path), self.old_file(root))?;
        }
        match new {
            NewContent::Bytes(bytes) => durable::write(&self.new_file(root), bytes),
            NewContent::Link(file) => Ok(fs_err::hard_link(file, self.new_file(root))?),
            NewContent::Nothing => Ok(()),
        }
    }

    /// Renames the new file into place, or removes the old one. Does nothing if that was done
    /// already.
    pub fn apply(&self, root: &Utf8Path) -> Result<FileOwner> {
        let place = root.join(&self.path);
        if !self.is_untouched(root) {
            return if durable::digest_of(&place)? == self.new {
                Ok(FileOwner::Ours)
            } else {
                self.foreign(root)
            };
        }
        match &self.new {
            Some(_) if exists(&self.new_file(root)) => fs_err::rename(self.new_file(root), &place)?,
            Some(_) => return self.foreign(root),
            None => durable::remove(&place)?,
        }
        Ok(FileOwner::Ours)
    }

    /// Restores the old file. Does nothing if it was not touched.
    pub fn undo(&self, root: &Utf8Path) -> Result<FileOwner> {
        let place = root.join(&self.path);
        let found = durable::digest_of(&place)?;
        let touched_by_us = found == self.new && !exists(&self.new_file(root));
        match self.existed {
            _ if self.is_untouched(root) => {}
            true if !exists(&self.old_file(root)) => {}
            true if touched_by_us => fs_err::rename(self.old_file(root), &place)?,
            false if touched_by_us => durable::remove(&place)?,
            _ => return self.foreign(root),
        }
        Ok(FileOwner::Ours)
    }

    /// Removes the files beside the place.
    pub fn clean(&self, root: &Utf8Path) -> Result<()> {
        durable::remove(&self.new_file(root))?;
        durable::remove(&self.old_file(root))
    }

    /// Whether the place is as it was before: the same file, or still no file.
    fn is_untouched(&self, root: &Utf8Path) -> bool {
        let place = root.join(&self.path);
        if self.existed { is_same_file(&place, &self.old_file(root)) } else { !exists(&place) }
    }

    fn foreign(&self, root: &Utf8Path) -> Result<FileOwner> {
        if self.index {
            return Ok(FileOwner::Foreign);
        }
        Err(Failure::refused(
            root.join(&self.path).as_str(),
            "was changed by another program while modules were being changed",
        )
        .remedy("move it away and run the command again")
        .into())
    }
}

/// Whether two paths are names of one file.
pub fn is_same_file(a: &Utf8Path, b: &Utf8Path) -> bool {
    let id = |path: &Utf8Path| path.symlink_metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    id(a).is_some_and(|a| id(b) == Some(a))
}

fn exists(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok()
}
