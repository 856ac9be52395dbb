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

    /// Whether all of the `len` bytes at `off` were received.
    #[must_use]
    pub fn holds(&self, off: usize, len: usize) -> bool {
        off.checked_add(len).is_some_and(|end| end <= self.len())
    }

    /// The `len` bytes at `off`, or `None` when not all of them were received.
    #[must_use]
    pub fn bytes(&self, off: usize, len: usize) -> Option<&'a [u8]> {
        self.received.get(off..off.checked_add(len)?)
    }

    /// The same, to be read by offset in turn.
    #[must_use]
    pub fn part(&self, off: usize, len: usize) -> Option<Self> {
        self.bytes(off, len).map(Self::new)
    }

    /// What follows the first `off` bytes; `None` when there are fewer.
    #[must_use]
    pub fn after(&self, off: usize) -> Option<Self> {
        self.received.get(off..).map(Self::new)
    }

    /// The byte at `off`.
    #[must_use]
    pub fn byte(&self, off: usize) -> Option<u8> {
        self.received.get(off).copied()
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

    /// The 16-bit number at `off`, as an offset or a length.
    #[must_use]
    pub fn size16(&self, off: usize) -> Option<usize> {
        self.le16(off).map(usize::from)
    }

    /// The 32-bit number at `off`, as an offset or a length. One that memory cannot have becomes
    /// the largest there is, which nothing received can reach either.
    #[must_use]
    pub fn size32(&self, off: usize) -> Option<usize> {
        self.le32(off)
            .map(|size| usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// The `N` bytes at `off`.
    fn array<const N: usize>(&self, off: usize) -> Option<[u8; N]> {
        self.received.get(off..)?.first_chunk().copied()
    }
}
