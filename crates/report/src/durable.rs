// SPDX-License-Identifier: GPL-2.0
//! File operations whose result survives a power cut once the directory is synced too.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use camino::Utf8Path;
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal digits.
pub type Digest = String;

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a file; none if there is no file.
pub fn digest_of(path: &Utf8Path) -> Result<Option<Digest>> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    Ok(Some(digest(&fs_err::read(path)?)))
}

/// Writes a file that everybody may read, to the disk.
pub fn write(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    // Whatever the umask: modprobe and depmod run as others, too.
    file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    Ok(file.sync_all()?)
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Utf8Path) -> Result<()> {
    Ok(fs_err::File::open(dir)?.sync_all()?)
}

/// Removes a file; that it is not there is as good.
pub fn remove(path: &Utf8Path) -> Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

/// Removes a directory if there is one and nothing is in it.
pub fn remove_empty_dir(dir: &Utf8Path) -> Result<()> {
    match fs_err::remove_dir(dir) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error.into())
        }
        _ => Ok(()),
    }
}
