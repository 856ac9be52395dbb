// SPDX-License-Identifier: GPL-2.0
//! What each run has of its own: a directory for its sockets, and a name that nobody can guess.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

/// What the names of the directories begin with.
const PREFIX: &str = "vm-";

/// A directory without an owner is not taken for one whose owner is about to lock it.
const FRESH: Duration = Duration::from_secs(60);

/// A directory that goes when the run is over, and at the latest when another begins: a run that is
/// killed leaves its own behind. A path of a socket is short (unix(7)), and the cache's may not be.
#[derive(Debug)]
pub(crate) struct Session {
    _dir: TempDir,
    path: Utf8PathBuf,
    /// Says that there is an owner.
    _owned: File,
}

impl Session {
    /// A new one, for this user alone.
    pub(crate) fn begin() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let path = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
        let owned = File::open(path)?;
        owned.lock()?;
        if let Some(above) = path.parent() {
            sweep(above, SystemTime::now());
        }
        Ok(Self { path: path.to_owned(), _dir: dir, _owned: owned })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.path
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.path.join(name)
    }

    /// A socket in it.
    pub(crate) fn listen(&self, name: &str) -> Result<UnixListener> {
        let path = self.path(name);
        UnixListener::bind(&path).with_context(|| format!("listening on {path}"))
    }
}

/// Removes what runs that were killed left in `above`. What cannot be removed stays: it is in
/// nobody's way.
fn sweep(above: &Utf8Path, now: SystemTime) {
    let user = rustix::process::geteuid().as_raw();
    for entry in above.read_dir_utf8().into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(found) = path.symlink_metadata() else { continue };
        let ours = name.starts_with(PREFIX) && found.is_dir() && found.uid() == user;
        let old = found.modified().is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > FRESH));
        if ours && old && File::open(path).is_ok_and(|dir| dir.try_lock().is_ok()) {
            fs_err::remove_dir_all(path).ok();
        }
    }
}

/// 128 random bits in hexadecimal digits.
pub(crate) fn nonce() -> Result<String> {
    random_digits(16)
}

/// So many random bytes in hexadecimal digits.
pub(crate) fn random_digits(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    std::io::Read::read_exact(&mut fs_err::File::open("/dev/urandom")?, &mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for name in ["vm-left", "vm-used", "other"] {
            fs_err::create_dir(dir.join(name)).unwrap();
            fs_err::write(dir.join(name).join("port"), "").unwrap();
        }
        let used = File::open(dir.join("vm-used")).unwrap();
        used.lock().unwrap();
        sweep(dir, SystemTime::now());
        assert!(dir.join("vm-left").exists(), "it may be about to be locked");
        sweep(dir, SystemTime::now() + 2 * FRESH);
        let there = ["vm-left", "vm-used", "other"].map(|name| dir.join(name).exists());
        assert_eq!(there, [false, true, true]);
    }

    #[test]
    fn nonces_differ() {
        let first = nonce().unwrap();
        assert_eq!(first.len(), 32);
        assert_ne!(first, nonce().unwrap());
    }
}
