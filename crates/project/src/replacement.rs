// SPDX-License-Identifier: GPL-2.0
//! Writes a module's file completely or not at all: beside its place, synced, then renamed.
//!
//! The temporary file's name follows from the place, and it is only written while the directory is
//! locked. So what a killed run leaves is recognised, and removed by the next run that writes the
//! file.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// Makes `bytes` the contents of `file`. An existing file keeps its mode and owner.
pub(super) fn replace(file: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let (dir, beside) = beside(file).context("a module's file has a name in a directory")?;
    let dir = File::open(dir).with_context(|| format!("opening {dir}"))?;
    dir.lock().with_context(|| format!("waiting for the directory of {file}"))?;
    write(&beside, file, bytes)
        .and_then(|()| Ok(fs_err::rename(&beside, file)?))
        .inspect_err(|_| drop(fs_err::remove_file(&beside)))?;
    Ok(dir.sync_all()?)
}

/// The directory of `file`, and the temporary file there. No module has such a name.
fn beside(file: &Utf8Path) -> Option<(&Utf8Path, Utf8PathBuf)> {
    let dir = file.parent()?;
    let dir = if dir == "" { Utf8Path::new(".") } else { dir };
    Some((dir, dir.join(format!(".{}.unfinished", file.file_name()?))))
}

fn write(beside: &Utf8Path, file: &Utf8Path, bytes: &[u8]) -> Result<()> {
    match fs_err::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let new = File::options().write(true).create_new(true).mode(0o600).open(beside);
    let mut new = new.with_context(|| format!("writing {beside}"))?;
    new.write_all(bytes).with_context(|| format!("writing {beside}"))?;
    if let Ok(old) = fs_err::metadata(file) {
        // Only root can change the owner; nobody else writes to another user's directory.
        fchown(&new, Some(old.uid()), Some(old.gid())).ok();
        new.set_permissions(old.permissions())?;
    } else {
        new.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.sync_all().with_context(|| format!("writing {beside}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("x.ko");
        let mode = || file.metadata().unwrap().permissions().mode() & 0o777;
        replace(&file, b"first").unwrap();
        assert_eq!((fs_err::read(&file).unwrap().as_slice(), mode()), (&b"first"[..], 0o644));
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        // What a killed run left, longer than what is to be there.
        fs_err::write(dir.path().join(".x.ko.unfinished"), [7; 100]).unwrap();
        replace(&file, b"second").unwrap();
        assert_eq!((fs_err::read(&file).unwrap().as_slice(), mode()), (&b"second"[..], 0o640));
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("x.ko");
        // A directory that is not empty cannot be replaced.
        fs_err::create_dir_all(file.join("y")).unwrap();
        assert!(replace(&file, b"new").is_err());
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_waits_beside_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("precious"), "old").unwrap();
        std::os::unix::fs::symlink("precious", dir.join(".x.ko.unfinished")).unwrap();
        replace(&dir.join("x.ko"), b"new").unwrap();
        assert_eq!(fs_err::read(dir.join("precious")).unwrap(), b"old");
    }
}
