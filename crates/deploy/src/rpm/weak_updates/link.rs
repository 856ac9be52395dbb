// SPDX-License-Identifier: GPL-2.0
//! Links that are made and removed.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::rpm::weak_updates::layout::Modules;
use kmodfile::release::Release;
use report::durable;

/// A change that is made, or would be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum LinkChange {
    /// A link is made, or replaces another.
    Link {
        /// The kernel that gets it.
        kernel: Release,
        /// The link.
        link: Utf8PathBuf,
        /// Its target, as seen on the system itself.
        target: Utf8PathBuf,
        /// What is written in it.
        written: Utf8PathBuf,
    },
    /// A link is removed.
    Unlink {
        /// The kernel that loses it.
        kernel: Release,
        /// The link.
        link: Utf8PathBuf,
    },
}

impl LinkChange {
    /// The kernel whose directory is changed.
    pub fn kernel(&self) -> &Release {
        match self {
            Self::Link { kernel, .. } | Self::Unlink { kernel, .. } => kernel,
        }
    }

    /// The link that is made or removed.
    pub fn link(&self) -> &Utf8Path {
        match self {
            Self::Link { link, .. } | Self::Unlink { link, .. } => link,
        }
    }

    /// Makes the change. A new link replaces another in one step, and nothing but a link;
    /// directories are removed with the last link in them.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub(super) fn apply(&self, modules: &Modules) -> Result<()> {
        match self {
            Self::Link { link, written, kernel, .. } => {
                let dir = link.parent().unwrap_or(link);
                modules.system().require_inside(dir.strip_prefix(modules.system().root())?)?;
                make(link, written).with_context(|| format!("linking {link} to {written} for {kernel}"))
            }
            Self::Unlink { link, kernel } => {
                durable::remove(link)?;
                let top = modules.top(kernel);
                for dir in link.ancestors().skip(1).take_while(|dir| *dir != top) {
                    // It is not empty.
                    if std::fs::remove_dir(dir).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Makes a link beside its place, under a name that depmod passes over, and renames it there.
fn make(link: &Utf8Path, written: &Utf8Path) -> Result<()> {
    let dir = link.parent().context("a link has a directory")?;
    fs_err::create_dir_all(dir)?;
    let beside = dir.join(format!(".{}.cargo-kmod-new", link.file_name().unwrap_or_default()));
    durable::remove(&beside)?;
    symlink(written, &beside)?;
    durable::publish(&beside, link)
}
