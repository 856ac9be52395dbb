// SPDX-License-Identifier: GPL-2.0
//! The header of a frame of zstd (RFC 8878, 3.1.1.1).

use serde::Serialize;

/// A frame of zstd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZstdFrame {
    /// How many bytes back it may refer: so much memory decompressing it takes.
    pub window: u64,
    /// The number of bytes that it decompresses to, if it says so; zstd(1) does of a file and not
    /// of what comes through a pipe.
    pub content: Option<u64>,
}

impl ZstdFrame {
    /// Reads the header of a frame, which begins with the magic number.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (descriptor, rest) = bytes.get(4..)?.split_first()?;
        let single_segment = descriptor & 0x20 != 0;
        let (window, rest) = match single_segment {
            true => (None, rest),
            false => {
                let (window, rest) = rest.split_first()?;
                (Some(window_of(*window)), rest)
            }
        };
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let rest = rest.get(dictionary..)?;
        let content = match (descriptor >> 6, single_segment) {
            (0, false) => None,
            (0, true) => Some(number(rest, 1)?),
            (1, _) => Some(number(rest, 2)? + 256),
            (2, _) => Some(number(rest, 4)?),
            (_, _) => Some(number(rest, 8)?),
        };
        Some(Self { window: window.or(content)?, content })
    }
}

fn window_of(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// The little-endian number in the first `width` bytes.
fn number(bytes: &[u8], width: usize) -> Option<u64> {
    Some(bytes.get(..width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_and_content_are_read_from_every_form_of_header() {
        for (header, window, content) in [
            (&[0x00, 0x58][..], 1 << 21, None),
            (&[0x04, 0x8f], (1 << 27) + (7 << 24), None),
            (&[0x20, 9], 9, Some(9)),
            (&[0x60, 1, 1], 513, Some(513)),
            (&[0x44, 0x50, 0, 1], 1 << 20, Some(512)),
            (&[0x83, 0x50, 9, 9, 9, 9, 4, 3, 2, 1], 1 << 20, Some(0x0102_0304)),
            (&[0xe1, 7, 0, 0, 0, 0, 1, 0, 0, 0], 1 << 32, Some(1 << 32)),
        ] {
            let bytes = [&[0x28, 0xb5, 0x2f, 0xfd], header].concat();
            assert_eq!(ZstdFrame::read(&bytes), Some(ZstdFrame { window, content }), "{header:x?}");
            for end in 0..bytes.len() {
                assert_eq!(ZstdFrame::read(&bytes[..end]), None, "{header:x?}, {end}");
            }
        }
    }
}
