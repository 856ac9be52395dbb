// SPDX-License-Identifier: GPL-2.0
//! How modules are compressed: recognised by the first bytes, decompressed, and compressed as the
//! kernel's own `modules_install` does (scripts/Makefile.modinst).

use std::io::{self, Read, Write as _};

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use serde::Serialize;

use crate::config::Config;

/// What a module can be compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip(1), `.gz`.
    Gzip,
    /// xz(1), `.xz`.
    Xz,
    /// zstd(1), `.zst`.
    Zstd,
}

/// The most bytes that a module may have, uncompressed. A distribution's largest have a tenth of
/// that, with debug information.
pub const LIMIT: u64 = 1 << 30;

/// The dictionary size of the kernel's own `modules_install`: every kernel's decompressor has room
/// for it.
const XZ_DICTIONARY: u32 = 1 << 20;

impl Compression {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Xz, Self::Zstd];

    /// What these bytes are compressed with, by how they begin.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| bytes.starts_with(kind.magic()))
    }

    /// What a kernel of this configuration has its modules compressed with. Where compressing is a
    /// choice of its own (`CONFIG_MODULE_COMPRESS_ALL`), the algorithm alone says what the kernel
    /// can decompress, not what is installed.
    pub fn of_config(config: &Config) -> Option<Self> {
        let chosen = config.is_yes("CONFIG_MODULE_COMPRESS");
        if chosen && !config.is_yes("CONFIG_MODULE_COMPRESS_ALL") {
            return None;
        }
        Self::ALL.into_iter().find(|kind| config.is_yes(kind.option()))
    }

    /// What a kernel of this configuration decompresses itself, instead of leaving it to kmod.
    pub fn of_kernel(config: &Config) -> Option<Self> {
        let does = config.is_yes("CONFIG_MODULE_DECOMPRESS");
        Self::ALL.into_iter().find(|kind| does && config.is_yes(kind.option()))
    }

    /// The program that compresses and decompresses so.
    pub fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What it appends to a file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// How a file is compressed again so that whatever unpacks modules takes it.
    pub fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -n",
            Self::Xz => "xz --check=crc32 --lzma2=dict=1MiB",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses, as the programs do: all units that follow each other.
    ///
    /// # Errors
    ///
    /// The bytes are damaged or incomplete, or become more than [`LIMIT`].
    pub fn decompress(self, packed: &[u8]) -> io::Result<Vec<u8>> {
        self.unpack(packed).map(|unpacked| unpacked.image)
    }

    /// Decompresses, and says what of it is in which unit.
    ///
    /// # Errors
    ///
    /// The bytes are damaged or incomplete, become more than [`LIMIT`], or have more units than any
    /// program makes.
    pub fn unpack(self, packed: &[u8]) -> io::Result<Unpacked> {
        // With enough room from the start nothing is copied as it grows; unused room costs nothing.
        let mut image = Vec::with_capacity((packed.len() * USUAL_RATIO).min(LIMIT as usize));
        let mut rest = self.unit(packed, &mut image)?;
        let (first, first_image) = (packed.len() - rest.len(), image.len());
        for _ in 1..MOST_UNITS {
            rest = self.without_padding(rest);
            if !self.continues(rest) {
                return Ok(Unpacked { image, first, first_image, trailing: rest.len() });
            }
            rest = self.unit(rest, &mut image)?;
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is in more parts than any program makes"))
    }

    /// Decompresses one unit, and gives what follows it.
    fn unit<'a>(self, packed: &'a [u8], image: &mut Vec<u8>) -> io::Result<&'a [u8]> {
        let mut reader: Box<dyn Unit<'a> + 'a> = match self {
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(packed)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        let room = LIMIT - image.len() as u64;
        if reader.by_ref().take(room + 1).read_to_end(image)? as u64 > room {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any module"));
        }
        Ok(reader.rest())
    }

    /// What follows the zeros that may stand behind a stream of xz, four at a time (the .xz file
    /// format, 2.2).
    fn without_padding(self, rest: &[u8]) -> &[u8] {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if self == Self::Xz { &rest[zeros / 4 * 4..] } else { rest }
    }

    /// Whether another unit begins here; of zstd that may be a frame to be skipped (RFC 8878,
    /// 3.1.2).
    fn continues(self, rest: &[u8]) -> bool {
        rest.starts_with(self.magic()) || (self == Self::Zstd && is_skippable(rest))
    }

    /// Compresses, with parameters that every kernel's decompressor takes: xz with CRC32 and a
    /// dictionary of 1 MiB; gzip without name and time, so that the same module gives the same
    /// file.
    ///
    /// # Errors
    ///
    /// There is not enough memory.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), xz_stream()?);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }

    fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"\x1f\x8b",
            Self::Xz => b"\xfd7zXZ\0",
            Self::Zstd => b"\x28\xb5\x2f\xfd",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Gzip => "CONFIG_MODULE_COMPRESS_GZIP",
            Self::Xz => "CONFIG_MODULE_COMPRESS_XZ",
            Self::Zstd => "CONFIG_MODULE_COMPRESS_ZSTD",
        }
    }
}

fn xz_stream() -> io::Result<Stream> {
    let mut options = LzmaOptions::new_preset(6)?;
    options.dict_size(XZ_DICTIONARY);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    Ok(Stream::new_stream_encoder(&filters, Check::Crc32)?)
}

/// What compressed bytes decompress to. They are one unit, which is all that a kernel reads, or
/// several: streams of xz, members of gzip, frames of zstd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// What all units decompress to.
    pub image: Vec<u8>,
    /// The length of the first unit, compressed.
    pub first: usize,
    /// The length of what the first unit decompresses to.
    pub first_image: usize,
    /// How many bytes follow the last unit that belong to none.
    pub trailing: usize,
}

/// Whether these bytes begin like a frame of zstd that decompressors skip (RFC 8878, 3.1.2).
pub(crate) fn is_skippable(bytes: &[u8]) -> bool {
    matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Most modules become at most so many times smaller.
const USUAL_RATIO: usize = 8;

/// More units than any program makes of a module; each costs time, however small it is.
const MOST_UNITS: usize = 10_000;

/// The largest window that zstd knows.
const ZSTD_WINDOW_LOG: u32 = 31;

/// A decompressor that stops at the end of a unit.
trait Unit<'a>: Read {
    /// The bytes that it has not read.
    fn rest(self: Box<Self>) -> &'a [u8];
}

impl<'a> Unit<'a> for flate2::bufread::GzDecoder<&'a [u8]> {
    fn rest(self: Box<Self>) -> &'a [u8] {
        self.into_inner()
    }
}

impl<'a> Unit<'a> for liblzma::bufread::XzDecoder<&'a [u8]> {
    fn rest(self: Box<Self>) -> &'a [u8] {
        self.into_inner()
    }
}

impl<'a> Unit<'a> for zstd::Decoder<'_, &'a [u8]> {
    fn rest(self: Box<Self>) -> &'a [u8] {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_recognised_and_decompressed() {
        let module: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for kind in Compression::ALL {
            let packed = kind.compress(&module).unwrap();
            assert_eq!(Compression::of(&packed), Some(kind));
            assert!(packed.len() < module.len() / 2, "{kind:?}");
            assert_eq!(kind.decompress(&packed).unwrap(), module);
            assert_eq!(kind.compress(&module).unwrap(), packed, "{kind:?}: twice the same");
        }
        assert_eq!(Compression::of(b"\x7fELF"), None);
    }

    #[test]
    fn units_follow_each_other_until_something_else_does() {
        for kind in Compression::ALL {
            let (one, two) = (kind.compress(b"one").unwrap(), kind.compress(b"two").unwrap());
            let whole = [&one[..], &two, b"rest"].concat();
            let (first, first_image, trailing) = (one.len(), 3, 4);
            let expected = Unpacked { image: b"onetwo".to_vec(), first, first_image, trailing };
            assert_eq!(kind.unpack(&whole).unwrap(), expected, "{kind:?}");
            let many = one.repeat(MOST_UNITS);
            assert!(kind.unpack(&many).is_err(), "{kind:?}");
            assert!(kind.unpack(&many[..one.len() * 100]).is_ok(), "{kind:?}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let module = vec![7; 100_000];
        for kind in Compression::ALL {
            let packed = kind.compress(&module).unwrap();
            assert!(kind.decompress(&packed[..packed.len() - 9]).is_err(), "{kind:?}, cut off");
            let mut spoilt = packed.clone();
            let middle = spoilt.len() / 2;
            spoilt[middle] ^= 0x55;
            assert!(kind.decompress(&spoilt).is_err(), "{kind:?}, spoilt");
            assert!(kind.decompress(b"no such thing").is_err());
        }
    }

    #[test]
    fn the_configuration_says_which() {
        let of = |text: &str| Compression::of_config(&Config::parse(text));
        let xz = "CONFIG_MODULE_COMPRESS_XZ=y\n";
        assert_eq!(of(""), None);
        assert_eq!(of(xz), Some(Compression::Xz));
        assert_eq!(of(&format!("CONFIG_MODULE_COMPRESS=y\n{xz}")), None);
        assert_eq!(
            of(&format!("CONFIG_MODULE_COMPRESS=y\nCONFIG_MODULE_COMPRESS_ALL=y\n{xz}")),
            Some(Compression::Xz)
        );
        assert_eq!(of("CONFIG_MODULE_COMPRESS_NONE=y\n"), None);
        let of_kernel = |text: &str| Compression::of_kernel(&Config::parse(text));
        assert_eq!(of_kernel(xz), None);
        assert_eq!(of_kernel(&format!("CONFIG_MODULE_DECOMPRESS=y\n{xz}")), Some(Compression::Xz));
    }

    #[test]
    fn xz_is_what_the_kernels_decompressor_takes() {
        let packed = Compression::Xz.compress(&[0; 5_000_000]).unwrap();
        // Stream flags: check 1 is CRC32. Block header: one filter, LZMA2, whose property 16 is a
        // dictionary of 1 MiB (the .xz file format, sections 2.1.1.2 and 5.3.1).
        assert_eq!(packed[7], 1);
        assert_eq!(packed[13] & 3, 0);
        assert_eq!(packed[14..17], [0x21, 1, 16]);
    }
}
