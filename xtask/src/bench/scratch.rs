// SPDX-License-Identifier: GPL-2.0
//! A directory of one measure, on the same disk as the user's cache.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use kernel::context::Context;
use kernel::root::removal;
use report::cache::{Lock, remove_plain};

/// Where a measure in a root keeps its changes to it.
pub(super) const CHANGES: &str = "changes";

/// Empty at first, removed when dropped; what a stopped run left is removed by the next. Links in
/// it are not followed then.
pub(super) struct Scratch {
    dir: Utf8PathBuf,
    _lock: Lock,
}

impl Scratch {
    /// The directory of `measure`, for one run at a time.
    pub(super) fn new(context: &Context, measure: &str) -> Result<Self> {
        let lock = context.cache.lock(&format!("bench {measure}"), &context.report)?;
        let place = context.cache.path(format!("bench-{measure}"));
        let dir = context.cache.partial(&place, &context.report, |left| remove(context, left))?;
        Ok(Self { dir, _lock: lock })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Utf8Path {
        &self.dir
    }
}

/// Removes what a stopped run left. The changes to a root are its users' files, not the user's.
fn remove(context: &Context, dir: &Utf8Path) -> Result<()> {
    removal::remove(context, &dir.join(CHANGES))?;
    remove_plain(dir)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_plain(&self.dir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Report;
    use report::cache::Cache;

    #[test]
    fn it_vanishes_and_what_it_links_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap();
        let context = Context::new(Report::silent(), Cache::at(base).unwrap(), "xtask".into());
        fs_err::create_dir(base.join("roots")).unwrap();
        fs_err::write(base.join("roots/tree"), "").unwrap();
        fs_err::create_dir_all(base.join("bench-x.partial/left")).unwrap();
        let scratch = Scratch::new(&context, "x").unwrap();
        assert!(!scratch.path().join("left").exists());
        std::os::unix::fs::symlink(base.join("roots"), scratch.path().join("roots")).unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists() && base.join("roots/tree").exists());
    }
}
