// SPDX-License-Identifier: GPL-2.0
//! A file that is put into a machine.

/// A file that is put into a machine.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// Its absolute path there.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it can be run.
    pub program: bool,
}

impl std::fmt::Debug for GuestFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GuestFile({}, {} bytes)", self.path, self.content.len())
    }
}
