// SPDX-License-Identifier: GPL-2.0
//! Atomic file updates: written beside the final place, synced, and renamed into place.
//!
//! [`replace`] writes every file that somebody else might read meanwhile, or that a power cut or a
//! full disk could leave half-written. Transactions over several files use the single steps.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal digits.
pub type Digest = String;

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    hex::encode(Sha256::digest(bytes))
}

/// The digest of a file; none if there is no file.
pub fn digest_of(path: &Utf8Path) -> Result<Option<Digest>> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    Ok(Some(digest(&fs_err::read(path)?)))
}

/// Replaces the contents of the file at `path` by `bytes`, atomically and durably; creates its
/// directory if necessary. An existing file keeps its mode and owner; a new one is readable by
/// everybody. A symbolic link at `path` is replaced, not followed.
pub fn replace(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// The same, with `write` writing the contents.
pub fn replace_with(path: &Utf8Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let dir = directory_of(path);
    fs_err::create_dir_all(dir)?;
    let (beside, mut file) = open_beside(path)?;
    fill(&mut file, path, write)
        .with_context(|| format!("writing {beside}"))
        .and_then(|()| Ok(fs_err::rename(&beside, path)?))
        .inspect_err(|_| drop(fs_err::remove_file(&beside)))?;
    sync_dir(dir)
}

/// Renames a file or directory that was made beside `path` into place, and syncs the directory. The
/// contents are on disk already, or can be made again.
pub fn publish(made: &Utf8Path, path: &Utf8Path) -> Result<()> {
    fs_err::rename(made, path)?;
    sync_dir(directory_of(path))
}

/// The temporary file of [`replace`]. A killed run leaves it behind; the next [`replace`] of the
/// same file reuses it.
pub fn unfinished(path: &Utf8Path) -> Utf8PathBuf {
    directory_of(path).join(format!(".{}.unfinished", path.file_name().unwrap_or_default()))
}

fn directory_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|dir| *dir != "").unwrap_or(Utf8Path::new("."))
}

/// Opens the temporary file for `path` and locks it, so that only this process writes it. A link or
/// anything else found there is removed, never followed.
fn open_beside(path: &Utf8Path) -> Result<(Utf8PathBuf, File)> {
    let beside = unfinished(path);
    let options = || {
        let mut options = File::options();
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(flags.bits().cast_signed());
        options
    };
    loop {
        match beside.symlink_metadata() {
            Ok(there) if !there.is_file() || there.nlink() > 1 => remove(&beside)?,
            _ => {}
        }
        let file = options().open(&beside).with_context(|| format!("writing {beside}"))?;
        file.lock().with_context(|| format!("waiting for {beside}"))?;
        // The previous holder of the lock may have renamed it into place meanwhile.
        let (ours, there) = (file.metadata()?, beside.symlink_metadata());
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            file.set_len(0)?;
            return Ok((beside, file));
        }
    }
}

fn fill(file: &mut File, path: &Utf8Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    write(file)?;
    match path.symlink_metadata() {
        Ok(old) if old.is_file() => {
            // Only root can give a file away; another's directory is not written to by anybody
            // else.
            fchown(&mut *file, Some(old.uid()), Some(old.gid())).ok();
            file.set_permissions(old.permissions())?;
        }
        // Whatever the umask: modprobe and depmod run as others, too.
        _ => file.set_permissions(Permissions::from_mode(0o644))?,
    }
    file.sync_all()
}

/// Writes a file that everybody may read, to the disk.
pub fn write(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    // Whatever the umask: modprobe and depmod run as others, too.
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file.sync_all()?)
}

/// Syncs a directory, so that renames in it survive a power cut.
pub fn sync_dir(dir: &Utf8Path) -> Result<()> {
    Ok(fs_err::File::open(dir)?.sync_all()?)
}

/// Removes a file, if it exists.
pub fn remove(path: &Utf8Path) -> Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

/// Removes a directory, if it exists and is empty.
pub fn remove_empty_dir(dir: &Utf8Path) -> Result<()> {
    match fs_err::remove_dir(dir) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    use crate::Report;
    use crate::process::Cmd;

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    fn names(dir: &Utf8Path) -> Vec<String> {
        dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_owner() {
        let (_dir, dir) = scratch();
        let file = dir.join("x.ko");
        let state = || {
            let meta = file.symlink_metadata().unwrap();
            (fs_err::read(&file).unwrap(), meta.mode() & 0o7777, meta.uid())
        };
        replace(&file, b"first").unwrap();
        let user = rustix::process::geteuid();
        assert_eq!(state(), (b"first".to_vec(), 0o644, user.as_raw()));
        // Only root can give a file to another.
        let owner = if user.is_root() { 12_345 } else { user.as_raw() };
        std::os::unix::fs::chown(&file, Some(owner), None).unwrap();
        fs_err::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        // What a killed run left, longer than what is to be there.
        fs_err::write(unfinished(&file), [7; 100]).unwrap();
        replace(&file, b"second").unwrap();
        assert_eq!(state(), (b"second".to_vec(), 0o640, owner));
        assert_eq!(names(&dir), ["x.ko"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let (_dir, dir) = scratch();
        let file = dir.join("x.ko");
        // A directory that is not empty cannot be replaced.
        fs_err::create_dir_all(file.join("y")).unwrap();
        assert!(replace(&file, b"new").is_err());
        assert_eq!(names(&dir), ["x.ko"]);
    }

    #[test]
    fn what_waits_beside_is_not_followed() {
        let (_dir, dir) = scratch();
        let precious = dir.join("precious");
        let file = dir.join("x.ko");
        fs_err::write(&precious, "old").unwrap();
        symlink("precious", unfinished(&file)).unwrap();
        replace(&file, b"new").unwrap();
        fs_err::hard_link(&precious, unfinished(&file)).unwrap();
        replace(&file, b"newer").unwrap();
        // A link in the file's own place is replaced by the file.
        fs_err::remove_file(&file).unwrap();
        symlink("precious", &file).unwrap();
        replace(&file, b"newest").unwrap();
        assert_eq!(fs_err::read(&precious).unwrap(), b"old");
        assert!(file.symlink_metadata().unwrap().is_file() && fs_err::read(&file).unwrap() == b"newest");
    }

    #[test]
    fn of_many_at_once_one_is_there_whole() {
        let (_dir, dir) = scratch();
        let file = dir.join("x");
        let content = |number: u8| vec![number; 100_000];
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || (0..20).for_each(|_| replace(file, &content(number)).unwrap()));
            }
        });
        let found = fs_err::read(&file).unwrap();
        assert_eq!(found, content(found[0]));
        assert_eq!(names(&dir), ["x"]);
    }

    /// Set in the process of the test below that has a small disk.
    const SMALL_DISK: &str = "TEST_ON_A_SMALL_DISK";

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        if let Ok(dir) = std::env::var(SMALL_DISK) {
            return on_a_small_disk(Utf8Path::new(&dir));
        }
        let (_dir, dir) = scratch();
        let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
        let script = r#"mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" --exact "$3" --nocapture"#;
        let cmd = Cmd::new("unshare").args(user).args(["--mount", "sh", "-c", script, "sh"]).arg(&dir);
        let cmd = cmd.arg(std::env::current_exe().unwrap());
        let cmd = cmd.arg("durable::tests::a_full_disk_leaves_the_old_file").env(SMALL_DISK, &dir);
        let output = cmd.run(&Report::silent()).unwrap();
        assert!(output.text().contains("1 passed"), "{}", output.text());
    }

    fn on_a_small_disk(dir: &Utf8Path) {
        let file = dir.join("x");
        replace(&file, b"old").unwrap();
        let error = replace(&file, &[1; 1 << 20]).unwrap_err();
        assert!(format!("{error:#}").contains("No space left"), "{error:#}");
        assert_eq!(fs_err::read(&file).unwrap(), b"old");
        assert_eq!(names(dir), ["x"]);
    }
}
