// SPDX-License-Identifier: GPL-2.0
//! Files that are given instead of a module by mistake, told by their first bytes: compressed in a
//! way that neither the kernel nor kmod undoes, or an archive or package with modules in it.

use std::fmt;

use crate::compression::is_skippable;

/// What a file is that is no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    kind: Kind,
    /// What it is called.
    name: &'static str,
    /// The command that undoes it; the file in it is `FILE`.
    command: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Compressed,
    Archive,
}

const fn compressed(name: &'static str, command: &'static str) -> Foreign {
    Foreign { kind: Kind::Compressed, name, command }
}

const fn archive(name: &'static str, command: &'static str) -> Foreign {
    Foreign { kind: Kind::Archive, name, command }
}

/// Those that are told by where a text stands in them.
const MARKED: [(usize, &[u8], Foreign); 15] = [
    (0, b"BZh", compressed("bzip2", "bzip2 -d FILE")),
    (0, b"LZIP", compressed("lzip", "lzip -d FILE")),
    (0, b"\x04\x22\x4d\x18", compressed("lz4", "lz4 -d FILE")),
    (0, b"\x02\x21\x4c\x18", compressed("lz4 of the kernel's form", "lz4 -d FILE")),
    (0, b"\x89LZO\0\r\n\x1a\n", compressed("lzop", "lzop -d FILE")),
    (0, b"\x1f\x9d", compressed("compress", "uncompress FILE")),
    (0, b"PK\x03\x04", archive("a zip archive", "unzip FILE")),
    (0, b"7z\xbc\xaf\x27\x1c", archive("a 7z archive", "7z x FILE")),
    (0, b"\xed\xab\xee\xdb", archive("an rpm package", "rpm2cpio FILE | cpio -id")),
    (0, b"!<arch>\ndebian-binary", archive("a Debian package", "dpkg-deb -x FILE DIR")),
    (0, b"!<arch>\n", archive("an archive of ar", "ar x FILE")),
    (0, b"070701", archive("a cpio archive", "cpio -id < FILE")),
    (0, b"070702", archive("a cpio archive", "cpio -id < FILE")),
    (0, b"hsqs", archive("a squashfs image", "unsquashfs FILE")),
    (257, b"ustar", archive("a tar archive", "tar -xf FILE")),
];

impl Foreign {
    /// What these bytes are, if it is anything that is known.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let marked = |(at, text, _): &&(usize, &[u8], Self)| {
            bytes.get(*at..).is_some_and(|bytes| bytes.starts_with(text))
        };
        let marked = MARKED.iter().find(marked).map(|(_, _, foreign)| *foreign);
        let lzma = || is_lzma(bytes).then_some(compressed("lzma", "xz --format=lzma -d FILE"));
        let skipped = || {
            let name = "zstd behind a frame to be skipped";
            is_skippable(bytes).then_some(compressed(name, "zstd -d FILE"))
        };
        marked.or_else(lzma).or_else(skipped)
    }

    /// What is to be done first with it, the file at `path`.
    pub fn remedy(&self, path: &str) -> String {
        let command = self.command.replace("FILE", path);
        match self.kind {
            Kind::Compressed => format!("decompress it: {command}"),
            Kind::Archive => format!("take the modules out of it: {command}"),
        }
    }
}

/// The header of `.lzma`, which has no mark: what xz(1) and lzma(1) write is a byte of properties,
/// a dictionary of 2^n or 2^n + 2^(n-1) bytes, and the size, or that it is not known
/// (lzma-file-format.txt of XZ Utils).
fn is_lzma(bytes: &[u8]) -> bool {
    let [properties, d0, d1, d2, d3, size @ ..] = bytes else { return false };
    let Some(size) = size.first_chunk() else { return false };
    let (dictionary, size) = (u32::from_le_bytes([*d0, *d1, *d2, *d3]), u64::from_le_bytes(*size));
    let usual = dictionary >= 4096 && matches!(dictionary >> dictionary.trailing_zeros(), 1 | 3);
    *properties < 225 && usual && (size == u64::MAX || size < 1 << 38)
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Compressed => {
                write!(f, "is compressed with {}, which neither the kernel nor kmod undoes", self.name)
            }
            Kind::Archive => write!(f, "is not a kernel module, but {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_nothing_foreign() {
        for bytes in
            [&b""[..], b"\x7fELF\x02\x01\x01", b"#!/bin/sh\n", &[0; 4096], &[0xff; 4096], &[0x5d; 64]]
        {
            assert_eq!(Foreign::of(bytes), None);
        }
        // Text may begin with the byte that lzma mostly has.
        assert_eq!(Foreign::of(b"]\0\0\x80\0 and so on"), None);
    }

    #[test]
    fn what_can_be_decompressed_is_not_foreign() {
        for kind in crate::compression::Compression::ALL {
            assert_eq!(Foreign::of(&kind.compress(b"\x7fELF").unwrap()), None);
        }
    }
}
