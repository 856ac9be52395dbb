// SPDX-License-Identifier: GPL-2.0
//! How a module's file is packed: what its compression's container says of itself. Not everything
//! that unpacks modules takes all that xz(1), zstd(1) and gzip(1) can make.

pub mod gzip;
pub mod xz;
pub mod zstd;

use std::io;

use serde::Serialize;

use crate::compression::Compression;
use gzip::GzipMember;
use xz::XzStream;
use zstd::ZstdFrame;

/// How a module's file is packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packing {
    /// The first stream, member or frame of it, which is all that a kernel reads.
    #[serde(flatten)]
    pub unit: PackedUnit,
    /// Whether more of the module is in further ones.
    pub continued: bool,
    /// How many bytes follow that belong to none.
    pub trailing: usize,
}

/// A stream of xz, a member of gzip, or a frame of zstd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum PackedUnit {
    /// `.gz`.
    Gzip(GzipMember),
    /// `.xz`.
    Xz(XzStream),
    /// `.zst`.
    Zstd(ZstdFrame),
}

impl Packing {
    /// Decompresses, and reads how the bytes are packed.
    ///
    /// # Errors
    ///
    /// The bytes are damaged or incomplete, or become more than [`crate::compression::LIMIT`].
    pub fn unpack(kind: Compression, packed: &[u8]) -> io::Result<(Self, Vec<u8>)> {
        let unpacked = kind.unpack(packed)?;
        let first = &packed[..unpacked.first];
        let unit = match kind {
            Compression::Gzip => GzipMember::read(first).map(PackedUnit::Gzip),
            Compression::Xz => XzStream::read(first).map(PackedUnit::Xz),
            Compression::Zstd => ZstdFrame::read(first).map(PackedUnit::Zstd),
        };
        let unit = unit.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "its header contradicts what follows")
        })?;
        let continued = unpacked.image.len() > unpacked.first_image;
        Ok((Self { unit, continued, trailing: unpacked.trailing }, unpacked.image))
    }

    /// What it is compressed with.
    pub fn compression(&self) -> Compression {
        match self.unit {
            PackedUnit::Gzip(_) => Compression::Gzip,
            PackedUnit::Xz(_) => Compression::Xz,
            PackedUnit::Zstd(_) => Compression::Zstd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_here_is_plain() {
        let module: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for kind in Compression::ALL {
            let (packing, image) = Packing::unpack(kind, &kind.compress(&module).unwrap()).unwrap();
            assert_eq!((packing.compression(), packing.continued, packing.trailing), (kind, false, 0));
            assert_eq!(image, module);
            match packing.unit {
                PackedUnit::Gzip(member) => assert!(member.fields.is_empty()),
                PackedUnit::Xz(stream) => {
                    assert_eq!((stream.check, stream.dictionary), (xz::XzCheck::Crc32, 1 << 20));
                    assert_eq!(stream.filters, [vec![]].into());
                }
                PackedUnit::Zstd(frame) => assert_eq!(frame.content, Some(module.len() as u64)),
            }
        }
    }
}
