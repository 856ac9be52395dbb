// SPDX-License-Identifier: GPL-2.0
//! Errors of a file system that is full, met by this program or by one that it ran: which file
//! system it is, what was being written, and where the room is to be made.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Failure;

/// What a file system has run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Blocks, or inodes: ENOSPC is said of both.
    Space,
    /// What the user may have of it: EDQUOT.
    Quota,
}

impl Lack {
    const ALL: [Self; 2] = [Self::Space, Self::Quota];

    /// What strerror(3) says of it, and so every program.
    fn text(self) -> &'static str {
        match self {
            Self::Space => "No space left on device",
            Self::Quota => "Disk quota exceeded",
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::Space => ErrorKind::StorageFull,
            Self::Quota => ErrorKind::QuotaExceeded,
        }
    }

    /// The lack that an error is about.
    fn of(error: &anyhow::Error) -> Option<Self> {
        let text = format!("{error:#}");
        let met = |lack: &Self| {
            let ours = |cause: &(dyn std::error::Error + 'static)| {
                cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == lack.kind())
            };
            error.chain().any(ours) || text.contains(lack.text())
        };
        Self::ALL.into_iter().find(met)
    }
}

/// Adds an explanation to an error that is caused by a full file system. `cache` is the directory
/// that most is written to.
pub fn explained(error: anyhow::Error, cache: &Utf8Path) -> anyhow::Error {
    let Some(lack) = Lack::of(&error) else { return error };
    let temporary = Utf8PathBuf::try_from(std::env::temp_dir()).unwrap_or_else(|_| "/tmp".into());
    let named = paths_in(&format!("{error:#}"));
    let known = [cache.to_owned(), temporary.clone()];
    // Undoing what failed has made room again, as a rule; else what is full now tells.
    let full = named.iter().chain(&known).find(|path| is_full(path));
    let path = full.or(named.iter().find(|path| nearest(path).is_some())).unwrap_or(&known[0]);
    let mount = mount_point(path);
    let same = |other: &Utf8Path| mount_point(other) == mount;
    let reason = match lack {
        Lack::Space if inodes_are_gone(&mount) => "no inode is left on this file system",
        Lack::Space => "no space is left on this file system",
        Lack::Quota => "the quota on this file system is used up",
    };
    let reason = if *path == mount { reason.to_owned() } else { format!("{reason}, to write {path}") };
    let remedy = if path.starts_with(cache) || (same(cache) && !named.contains(path)) {
        format!(
            "make room (the cache is {cache}; cargo kmod kernel gc), or move it: export XDG_CACHE_HOME=/some/directory"
        )
    } else if path.starts_with(&temporary) && same(&temporary) {
        format!("make room in {temporary}, or take another directory: export TMPDIR=/some/directory")
    } else {
        format!("make room on {mount}, and run the command again")
    };
    error.context(Failure::missing(mount, reason).remedy(remedy))
}

/// The absolute paths in a message, in their order: between backquotes, quotes or blanks, without
/// the punctuation at their ends. One with a blank is only found between backquotes.
fn paths_in(text: &str) -> Vec<Utf8PathBuf> {
    let quoted = text.split('`').skip(1).step_by(2);
    let words = text.split(|c: char| c.is_whitespace() || "`'\"()=".contains(c));
    let path = |word: &str| {
        let path = word.trim_end_matches(|c: char| ",.:;".contains(c));
        (path.starts_with('/') && path.len() > 1).then(|| Utf8PathBuf::from(path))
    };
    let mut paths: Vec<Utf8PathBuf> = Vec::new();
    for path in quoted.chain(words).filter_map(path) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// The path, or the nearest directory above it that is there; none if that is only `/`, so that it
/// may not be a path at all.
fn nearest(path: &Utf8Path) -> Option<&Utf8Path> {
    path.ancestors().find(|dir| dir.exists()).filter(|dir| *dir != "/")
}

/// Whether the file system that a path is on, or would be on, is full now.
fn is_full(path: &Utf8Path) -> bool {
    nearest(path).and_then(|dir| rustix::fs::statvfs(dir.as_std_path()).ok()).is_some_and(|stat| {
        // Some have no fixed number of inodes, and say 0 of 0.
        stat.f_bavail == 0 || (stat.f_files > 0 && stat.f_favail == 0)
    })
}

fn inodes_are_gone(dir: &Utf8Path) -> bool {
    rustix::fs::statvfs(dir.as_std_path())
        .is_ok_and(|stat| stat.f_bavail > 0 && stat.f_files > 0 && stat.f_favail == 0)
}

/// The directory at which the file system of a path is mounted.
fn mount_point(path: &Utf8Path) -> Utf8PathBuf {
    let Some(real) = nearest(path).and_then(|dir| dir.canonicalize_utf8().ok()) else { return "/".into() };
    let device = |dir: &Utf8Path| dir.metadata().ok().map(|meta| meta.dev());
    let own = device(&real);
    let same = real.ancestors().take_while(|dir| device(dir) == own);
    same.last().unwrap_or(&real).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Exit, exit_of, remedy_of};

    #[test]
    fn paths_are_found_in_messages() {
        for (text, paths) in [
            ("failed to write to file `/a b/c`: No space left on device (os error 28)", vec!["/a b/c", "/a"]),
            ("writing /x/y.ko: No space left on device", vec!["/x/y.ko"]),
            ("`tar -C /x`: ended with status 2\n | tar: y: Cannot write", vec!["/x"]),
            ("cp: error writing '/m/x': No space left, and / is not", vec!["/m/x"]),
            ("no path and/or file", vec![]),
        ] {
            assert_eq!(paths_in(text), paths, "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_recognised_in_both_forms() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap();
        let file = cache.join("file");
        let ours = || anyhow::Error::from(std::io::Error::from(ErrorKind::StorageFull));
        let theirs =
            anyhow::anyhow!("`tar -C {file}`: ended with status 2\n | tar: x: No space left on device");
        for error in [ours(), ours().context(format!("writing {file}")), theirs] {
            let error = explained(error, cache);
            assert_eq!(exit_of(&error), Exit::Missing);
            assert!(remedy_of(&error).unwrap().contains(&format!("the cache is {cache}")), "{error:#}");
            assert!(error.to_string().starts_with(mount_point(cache).as_str()), "{error}");
        }
        let quota = anyhow::Error::from(std::io::Error::from(ErrorKind::QuotaExceeded));
        assert!(explained(quota, cache).to_string().contains("quota"));
        let other = explained(anyhow::anyhow!("other"), cache);
        assert_eq!((exit_of(&other), other.to_string().as_str()), (Exit::Failed, "other"));
    }

    #[test]
    fn another_file_system_than_the_caches_is_named_and_the_cache_is_not() {
        // Any that is mounted everywhere and is not the one of the cache.
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap();
        let error = std::io::Error::from(ErrorKind::StorageFull);
        let error = anyhow::Error::from(error).context("writing /proc/self/nothing.ko");
        let error = explained(error, cache);
        let said = "/proc: no space is left on this file system, to write /proc/self/nothing.ko";
        assert!(error.to_string().starts_with(said), "{error}");
        assert_eq!(remedy_of(&error), Some("make room on /proc, and run the command again"));
    }
}
