// SPDX-License-Identifier: GPL-2.0
//! Bounded little-endian reads from a received slice.

/// A received slice, read by offset; every read says whether the bytes are there.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    received: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Reads from `received`; offsets count from its first byte.
    #[must_use]
    pub const fn new(received: &'a [u8]) -> Self {
        Self { received }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.received.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// The `len` bytes at `off`, or `None` when not all of them were received.
    #[must_use]
    pub fn bytes(&self, off: usize, len: usize) -> Option<&'a [u8]> {
        self.received.get(off..off.checked_add(len)?)
    }

    /// The 16-bit number at `off`.
    #[must_use]
    pub fn le16(&self, off: usize) -> Option<u16> {
        self.array(off).map(u16::from_le_bytes)
    }

    /// The 32-bit number at `off`.
    #[must_use]
    pub fn le32(&self, off: usize) -> Option<u32> {
        self.array(off).map(u32::from_le_bytes)
    }

    /// The 64-bit number at `off`.
    #[must_use]
    pub fn le64(&self, off: usize) -> Option<u64> {
        self.array(off).map(u64::from_le_bytes)
    }

    /// The `N` bytes at `off`.
    fn array<const N: usize>(&self, off: usize) -> Option<[u8; N]> {
        self.received.get(off..)?.first_chunk().copied()
    }
}
