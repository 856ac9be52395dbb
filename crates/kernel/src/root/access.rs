// SPDX-License-Identifier: GPL-2.0
//! What a command sees of the host in a made root.

use camino::{Utf8Path, Utf8PathBuf};

/// Files and directories of the host that a command may see in a made root.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Only read, at the same path.
    pub(super) read: Vec<Utf8PathBuf>,
    /// Written to, at the same path.
    pub(super) write: Vec<Utf8PathBuf>,
    /// Only read, at another path: where on the host, and where there.
    pub(super) read_at: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

impl Access {
    /// Adds a directory or file that is only read.
    #[must_use]
    pub fn read(mut self, path: impl AsRef<Utf8Path>) -> Self {
        self.read.push(path.as_ref().to_owned());
        self
    }

    /// Adds a directory or file that is only read, and found at another path there; on the host it
    /// stays where it is.
    #[must_use]
    pub fn read_at(mut self, path: impl AsRef<Utf8Path>, place: impl AsRef<Utf8Path>) -> Self {
        self.read_at.push((path.as_ref().to_owned(), place.as_ref().to_owned()));
        self
    }

    /// Adds a directory that is written to.
    #[must_use]
    pub fn write(mut self, path: impl AsRef<Utf8Path>) -> Self {
        self.write.push(path.as_ref().to_owned());
        self
    }
}
