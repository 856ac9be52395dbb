// SPDX-License-Identifier: GPL-2.0
//! What of the cache nothing needs any more, and how it is removed.

use std::cmp::Reverse;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::context::Context;
use crate::disk_usage;
use crate::distribution::known;
use crate::kdir::{Kdir, erase, lock_name};
use crate::root::removal;
use crate::root::tree;
use crate::shared_source;
use report::cache::remove_plain;

/// Something that was removed, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Freed {
    /// Where it was.
    pub path: Utf8PathBuf,
    /// Bytes that it took on disk.
    pub bytes: u64,
}

/// Removes all prepared kernels but the `keep` that were used last; those that are in use stay.
/// With `--dry-run` it only says which.
pub fn kernels(context: &Context, keep: usize) -> Result<Vec<Freed>> {
    let mut kdirs = Kdir::all(&context.cache, &context.report);
    kdirs.sort_by_key(|kdir| Reverse(kdir.last_used()));
    let mut freed = Vec::new();
    for kdir in kdirs.into_iter().skip(keep) {
        let Some(_lock) = context.cache.try_lock(&lock_name(kdir.release()))? else {
            context.report.note("Keeping", &format!("kernel {}: another run uses it", kdir.release()));
            continue;
        };
        freed.push(Freed { path: kdir.place().to_owned(), bytes: kdir.stamp().bytes });
        if !context.dry_run {
            erase(kdir.place())?;
        }
    }
    Ok(freed)
}

/// Removes sources that no kernel was made of that is left but those in `gone`, and those that a
/// stopped run left half-made.
pub fn sources(context: &Context, gone: &[Freed]) -> Result<Vec<Freed>> {
    let left = Kdir::all_quietly(&context.cache).into_iter();
    let left = left.filter(|kdir| gone.iter().all(|freed| freed.path != kdir.place()));
    let used: Vec<Utf8PathBuf> = left.map(|kdir| kdir.source()).collect();
    unused(context, "sources", &used, shared_source::lock_name, |_, path| remove_plain(path))
}

/// Removes build roots whose identity is not in `used`.
pub fn roots(context: &Context, used: &[String]) -> Result<Vec<Freed>> {
    let dir = context.cache.path("roots");
    let used: Vec<Utf8PathBuf> = used.iter().map(|identity| dir.join(identity)).collect();
    unused(context, "roots", &used, tree::lock_name, removal::remove)
}

/// Removes packages that were fetched, of which everything is kept that was made of them.
pub fn packages(context: &Context) -> Result<Vec<Freed>> {
    let fetched = known::ALL.iter().flat_map(|distribution| distribution.fetched());
    let mut fetched: Vec<Utf8PathBuf> = fetched.map(|dir| context.cache.path(dir)).collect();
    fetched.retain(|dir| dir.exists());
    let freed = fetched.iter().map(|dir| Freed { path: dir.clone(), bytes: disk_usage::of([dir.as_path()]) });
    let freed = freed.collect();
    if !fetched.is_empty() && !context.dry_run {
        let _lock = context.cache.lock("archive", &context.report)?;
        fetched.iter().try_for_each(fs_err::remove_dir_all)?;
    }
    Ok(freed)
}

/// Removes the entries of the cache's `dir` that are not among `used`.
fn unused(
    context: &Context,
    dir: &str,
    used: &[Utf8PathBuf],
    lock_name: impl Fn(&str) -> String,
    remove: impl Fn(&Context, &Utf8Path) -> Result<()>,
) -> Result<Vec<Freed>> {
    let mut freed = Vec::new();
    for entry in context.cache.path(dir).read_dir_utf8().into_iter().flatten() {
        let entry = entry?;
        let path = entry.path();
        if used.iter().any(|used| used.starts_with(path)) {
            continue;
        }
        let name = entry.file_name().trim_end_matches(".partial");
        let Some(_lock) = context.cache.try_lock(&lock_name(name))? else {
            context.report.note("Keeping", &format!("{path}: another run uses it"));
            continue;
        };
        freed.push(Freed { path: path.to_owned(), bytes: disk_usage::of([path]) });
        if !context.dry_run {
            remove(context, path)?;
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::kdir::tests::laid_out;
    use report::Report;
    use report::cache::Cache;

    fn context(dir: &Utf8Path) -> Context {
        Context::new(Report::silent(), Cache::at(dir).unwrap(), "/nowhere".into())
    }

    fn names(freed: &[Freed]) -> Vec<&str> {
        freed.iter().filter_map(|freed| freed.path.file_name()).collect()
    }

    /// Uses a kernel, at a time of its own.
    fn use_at(kdir: &Kdir, seconds: u64) {
        kdir.mark_used();
        let file = fs_err::OpenOptions::new().write(true).open(kdir.place().join("used")).unwrap();
        file.file().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn the_kernels_that_were_used_last_stay_and_so_do_those_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(Utf8Path::from_path(dir.path()).unwrap());
        for (release, used) in [("7.1-a", 3), ("7.2-a", 1), ("7.3-a", 2)] {
            use_at(&laid_out(&context.cache, release), used);
        }
        let dry = Context { dry_run: true, ..self::context(context.cache.dir()) };
        assert_eq!(names(&kernels(&dry, 1).unwrap()), ["7.3-a", "7.2-a"]);
        assert_eq!(Kdir::all_quietly(&context.cache).len(), 3);
        let used = context.cache.try_share(&lock_name(&"7.2-a".parse().unwrap())).unwrap().unwrap();
        assert_eq!(names(&kernels(&context, 1).unwrap()), ["7.3-a"]);
        drop(used);
        assert_eq!(names(&kernels(&context, 1).unwrap()), ["7.2-a"]);
        let left = Kdir::all_quietly(&context.cache);
        assert_eq!(left.iter().map(|kdir| kdir.release().as_str()).collect::<Vec<_>>(), ["7.1-a"]);
    }

    #[test]
    fn a_source_goes_with_the_last_kernel_that_was_made_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(Utf8Path::from_path(dir.path()).unwrap());
        let kdir = laid_out(&context.cache, "7.1-a");
        let shared = context.cache.path("sources/7.1-0-amd64");
        fs_err::create_dir_all(shared.parent().unwrap()).unwrap();
        fs_err::rename(kdir.place().join("source"), &shared).unwrap();
        fs_err::os::unix::fs::symlink(&shared, kdir.place().join("source")).unwrap();
        fs_err::create_dir_all(context.cache.path("sources/7.1-1-amd64.partial")).unwrap();
        assert_eq!(kdir.source(), shared);
        assert_eq!(names(&sources(&context, &[]).unwrap()), ["7.1-1-amd64.partial"]);
        let gone = kernels(&context, 0).unwrap();
        assert_eq!(names(&sources(&context, &gone).unwrap()), ["7.1-0-amd64"]);
        assert!(!shared.exists());
    }
}
