// SPDX-License-Identifier: GPL-2.0
//! The user's cache: where it is, and how each entry is made once, by one run at a time.
//!
//! An entry is made under a lock, in a directory beside its final place, and renamed into place
//! when it is complete. So a killed run never leaves anything that a later run could take for
//! finished.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Failure;
use crate::progress::Report;

/// The name of the cache's directory.
pub const NAME: &str = "cargo-kmod";

/// `$XDG_CACHE_HOME/cargo-kmod`, or `~/.cache/cargo-kmod`.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: Utf8PathBuf,
}

/// A lock on one entry of the cache: exclusive while the entry is made or removed, shared while it
/// is used. Released when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    alone: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.alone {
            // A later waiter must not be told that this process holds it.
            self.file.set_len(0).ok();
        }
    }
}

impl Cache {
    /// The cache of this user (XDG Base Directory Specification).
    pub fn of_user() -> Result<Self> {
        let absolute = |name: &str| {
            let value = std::env::var(name).ok()?;
            let path = Utf8PathBuf::from(value);
            path.is_absolute().then_some(path)
        };
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        let base = base.ok_or_else(|| {
            Failure::missing("cache directory", "neither XDG_CACHE_HOME nor HOME is an absolute path")
                .remedy("export XDG_CACHE_HOME=/some/directory")
        })?;
        Self::at(base.join(NAME))
    }

    /// A cache in `dir`, which is created if it does not exist.
    pub fn at(dir: impl Into<Utf8PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs_err::create_dir_all(dir.join("locks")).context("making the cache directory")?;
        Ok(Self { dir })
    }

    /// The directory itself.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// A path in the cache.
    pub fn path(&self, relative: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.dir.join(relative)
    }

    /// Takes the exclusive lock on `name`; says who holds it while waiting.
    pub fn lock(&self, name: &str, report: &Report) -> Result<Lock> {
        let path = self.lock_path(name);
        let mut file = File::options().create(true).read(true).write(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => wait(&file, name, report, File::lock)?,
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock { file, alone: true })
    }

    /// Takes a shared lock on `name`: nobody removes it or makes it again while it is used. Waits
    /// while it is being made.
    pub fn share(&self, name: &str, report: &Report) -> Result<Lock> {
        let path = self.lock_path(name);
        let file = File::options().create(true).read(true).write(true).truncate(false).open(&path)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => wait(&file, name, report, File::lock_shared)?,
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
        }
        Ok(Lock { file, alone: false })
    }

    /// Takes a shared lock on `name`, or gives `None` at once if somebody holds it alone.
    pub fn try_share(&self, name: &str) -> Result<Option<Lock>> {
        let path = self.lock_path(name);
        let file = File::options().create(true).read(true).write(true).truncate(false).open(&path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Lock { file, alone: false })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {path}")),
        }
    }

    /// Takes the exclusive lock on `name`, or gives `None` at once if anybody else holds a lock on
    /// it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        let path = self.lock_path(name);
        let file = File::options().create(true).read(true).write(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file, alone: true })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {path}")),
        }
    }

    /// Whether any run has ever locked `name`: it is, or was, or was to be in the cache.
    pub fn has_known(&self, name: &str) -> bool {
        self.lock_path(name).exists()
    }

    fn lock_path(&self, name: &str) -> Utf8PathBuf {
        self.dir.join("locks").join(format!("{}.lock", name.replace('/', "_")))
    }

    /// An empty directory in which the entry at `place` is to be made. Leftovers of a killed run
    /// are removed first, with `remove`: a build root needs more care than a plain directory. The
    /// caller holds the entry's lock.
    pub fn partial(
        &self,
        place: &Utf8Path,
        report: &Report,
        remove: impl FnOnce(&Utf8Path) -> Result<()>,
    ) -> Result<Utf8PathBuf> {
        let partial = partial_name(place);
        if partial.exists() {
            report.note("Discarding", &format!("{partial}, left incomplete by a run that was stopped"));
            remove(&partial)?;
        }
        fs_err::create_dir_all(&partial)?;
        Ok(partial)
    }
}

/// Where the entry at `place` is while it is being made.
pub fn partial_name(place: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{place}.partial"))
}

/// Removes a plain directory of ours; not for build roots.
pub fn remove_plain(dir: &Utf8Path) -> Result<()> {
    Ok(fs_err::remove_dir_all(dir)?)
}

/// Says who holds the lock, and waits.
fn wait(
    mut file: &File,
    name: &str,
    report: &Report,
    lock: impl FnOnce(&File) -> std::io::Result<()>,
) -> Result<()> {
    let mut holder = String::new();
    file.read_to_string(&mut holder).ok();
    let step = report.step("Waiting", &format!("for {name}, held by {}", holder_text(&holder)));
    lock(file).with_context(|| format!("waiting for {name}"))?;
    step.done("Waited", &format!("for {name}"));
    Ok(())
}

/// Who holds a lock, for a message; the file may be empty for a moment.
fn holder_text(content: &str) -> String {
    match content.trim().parse::<u32>() {
        Ok(pid) => format!("another run (process {pid})"),
        Err(_) => "another run".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, cache)
    }

    #[test]
    fn lock_names_its_holder_and_is_released() {
        let (_dir, cache) = cache();
        let report = Report::silent();
        let lock = cache.lock("root trixie", &report).unwrap();
        let held = fs_err::read_to_string(cache.path("locks/root trixie.lock")).unwrap();
        assert_eq!(holder_text(&held), format!("another run (process {})", std::process::id()));
        let second = File::open(cache.path("locks/root trixie.lock")).unwrap();
        assert!(matches!(second.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        // Not at once: a process that another test is starting has every file open until it becomes
        // its program.
        second.lock().unwrap();
    }

    #[test]
    fn what_is_used_is_not_taken_away() {
        let (_dir, cache) = cache();
        let report = Report::silent();
        let (one, two) = (cache.share("x", &report).unwrap(), cache.share("x", &report).unwrap());
        assert!(cache.try_lock("x").unwrap().is_none());
        drop((one, two));
        cache.lock("x", &report).unwrap();
    }

    #[test]
    fn what_a_killed_run_left_is_discarded() {
        let (_dir, cache) = cache();
        let place = cache.path("kernels/x");
        fs_err::create_dir_all(partial_name(&place)).unwrap();
        fs_err::write(partial_name(&place).join("half"), "").unwrap();
        let partial = cache.partial(&place, &Report::silent(), remove_plain).unwrap();
        assert_eq!(fs_err::read_dir(partial).unwrap().count(), 0);
    }
}
