// SPDX-License-Identifier: GPL-2.0
//! What each run has of its own: a directory for its sockets, and a name that nobody can guess.

use std::os::unix::net::UnixListener;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

/// A directory that goes when the run is over. A path of a socket is short (unix(7)), and the
/// cache's may not be.
pub(crate) struct Session {
    _dir: TempDir,
    path: Utf8PathBuf,
}

impl Session {
    /// A new one, for this user alone.
    pub(crate) fn begin() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("vm-").tempdir()?;
        let path = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
        Ok(Self { path: path.to_owned(), _dir: dir })
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
    fn nonces_differ() {
        let first = nonce().unwrap();
        assert_eq!(first.len(), 32);
        assert_ne!(first, nonce().unwrap());
    }
}
