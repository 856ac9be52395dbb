// SPDX-License-Identifier: GPL-2.0
//! One module packed in many ways, each with who unpacks it. That is what was seen: of kernels in
//! virtual machines, of kmod in a build root.

use std::io::Write as _;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression as Level, GzBuilder};
use kmodfile::compression::Compression;
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use liblzma::write::XzEncoder;

/// A module, packed in one way.
pub(crate) struct Packing {
    /// What is special about it.
    pub(crate) name: &'static str,
    pub(crate) format: Compression,
    pub(crate) bytes: Vec<u8>,
    /// Whether a kernel that unpacks this format itself loads it.
    pub(crate) kernel: Kernel,
    /// Whether kmod 34 reads it: modprobe where the kernel does not unpack, depmod and modinfo
    /// always.
    pub(crate) kmod: bool,
}

/// What a kernel does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    Loads,
    /// It cannot unpack it.
    Invalid,
    /// It unpacks a part, which is no module.
    NoModule,
}

use Kernel::{Invalid, Loads, NoModule};

/// `module` in every way, of all formats.
pub(crate) fn all(module: &[u8]) -> Vec<Packing> {
    [xz(module), gzip(module), zstd(module)].into_iter().flatten().collect()
}

fn packings(format: Compression, rows: Vec<(&'static str, Vec<u8>, Kernel, bool)>) -> Vec<Packing> {
    let packing = |(name, bytes, kernel, kmod)| Packing { name, format, bytes, kernel, kmod };
    rows.into_iter().map(packing).collect()
}

/// The kernel has the filters for x86 and arm64, not the one for PowerPC, as Debian's.
fn xz(module: &[u8]) -> Vec<Packing> {
    let (first, second) = module.split_at(module.len() / 2);
    let plain = with_filters(module, Check::Crc32, |f| f);
    let behind = |rest: &[u8]| [&plain, rest].concat();
    packings(
        Compression::Xz,
        vec![
            ("xz, check CRC32", plain.clone(), Loads, true),
            ("xz, no check", with_filters(module, Check::None, |f| f), Loads, true),
            ("xz, check CRC64", with_filters(module, Check::Crc64, |f| f), Invalid, true),
            ("xz, check SHA-256", with_filters(module, Check::Sha256, |f| f), Invalid, true),
            ("xz, x86", with_filters(module, Check::Crc32, Filters::x86), Loads, true),
            ("xz, arm64", with_filters(module, Check::Crc32, Filters::arm64), Loads, true),
            ("xz, powerpc", with_filters(module, Check::Crc32, Filters::powerpc), Invalid, true),
            (
                "xz, delta",
                with_filters(module, Check::Crc32, |f| f.delta_properties(&[0]).unwrap()),
                Invalid,
                true,
            ),
            ("xz, x86 and arm64", with_filters(module, Check::Crc32, |f| f.x86().arm64()), Invalid, true),
            (
                "xz, x86 from an offset",
                with_filters(module, Check::Crc32, |f| f.x86_properties(&[16, 0, 0, 0]).unwrap()),
                Invalid,
                true,
            ),
            ("xz, dictionary of 64 MiB", with_dictionary(&plain, 28), Loads, true),
            ("xz, dictionary of 4 GiB", with_dictionary(&plain, 40), Invalid, true),
            ("xz, several blocks", in_blocks(module), Loads, true),
            ("xz, two streams", [crc32(first), crc32(second)].concat(), NoModule, true),
            ("xz, an empty stream behind", behind(&crc32(b"")), Loads, true),
            ("xz, padding behind", behind(&[0; 8]), Loads, true),
            ("xz, half padding behind", behind(&[0; 6]), Loads, false),
            ("xz, bytes behind", behind(b"more"), Loads, false),
        ],
    )
}

fn gzip(module: &[u8]) -> Vec<Packing> {
    let (first, second) = module.split_at(module.len() / 2);
    let plain = gz(module, GzBuilder::new());
    let behind = |rest: &[u8]| [&plain, rest].concat();
    let named = || GzBuilder::new().filename("module.ko").mtime(1);
    packings(
        Compression::Gzip,
        vec![
            ("gzip", plain.clone(), Loads, true),
            ("gzip, name", gz(module, named()), Loads, true),
            ("gzip, text", gz_by_hand(module, 1, b""), Loads, true),
            ("gzip, header check", gz_with_header_check(module), Invalid, true),
            ("gzip, extra field", gz(module, GzBuilder::new().extra(*b"AB\x02\0xy")), Invalid, true),
            ("gzip, comment", gz(module, GzBuilder::new().comment("made")), Invalid, true),
            ("gzip, name and comment", gz(module, named().comment("made")), Invalid, true),
            (
                "gzip, two members",
                [gz(first, GzBuilder::new()), gz(second, GzBuilder::new())].concat(),
                NoModule,
                true,
            ),
            ("gzip, an empty member behind", behind(&gz(b"", GzBuilder::new())), Loads, true),
            ("gzip, zeros behind", behind(&[0; 512]), Loads, true),
            ("gzip, bytes behind", behind(b"more"), Loads, true),
        ],
    )
}

fn zstd(module: &[u8]) -> Vec<Packing> {
    let (first, second) = module.split_at(module.len() / 2);
    let plain = zst(module, true, true);
    let behind = |rest: &[u8]| [&plain, rest].concat();
    let skippable = b"\x5a\x2a\x4d\x18\x04\0\0\0skip";
    packings(
        Compression::Zstd,
        vec![
            ("zstd", plain.clone(), Loads, true),
            ("zstd, no check", zst(module, false, true), Loads, true),
            ("zstd, no size", zst(module, true, false), Loads, false),
            ("zstd, window of 128 MiB", with_window(module, 17), Loads, true),
            ("zstd, window of 256 MiB", with_window(module, 18), Invalid, true),
            ("zstd, two frames", [zst(first, true, true), zst(second, true, true)].concat(), NoModule, false),
            ("zstd, an empty frame behind", behind(&zst(b"", true, true)), Loads, true),
            ("zstd, a skippable frame behind", behind(skippable), Loads, true),
            ("zstd, bytes behind", behind(b"more"), Loads, false),
        ],
    )
}

fn crc32(bytes: &[u8]) -> Vec<u8> {
    with_filters(bytes, Check::Crc32, |f| f)
}

/// xz, with a dictionary of 1 MiB, behind the filters that `filters` adds.
fn with_filters(bytes: &[u8], check: Check, filters: impl FnOnce(&mut Filters) -> &mut Filters) -> Vec<u8> {
    let mut options = LzmaOptions::new_preset(6).unwrap();
    options.dict_size(1 << 20);
    let mut all = Filters::new();
    filters(&mut all);
    all.lzma2(&options);
    written(XzEncoder::new_stream(Vec::new(), Stream::new_stream_encoder(&all, check).unwrap()), bytes)
}

/// xz in two blocks.
fn in_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Stream::new_easy_encoder(0, Check::Crc32).unwrap();
    let mut packed = Vec::with_capacity(bytes.len() * 2);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for (part, action) in [(first, Action::FullFlush), (second, Action::Finish)] {
        let before = stream.total_in();
        while stream.process_vec(&part[(stream.total_in() - before) as usize..], &mut packed, action).unwrap()
            != Status::StreamEnd
        {}
    }
    packed
}

fn written(mut encoder: XzEncoder<Vec<u8>>, bytes: &[u8]) -> Vec<u8> {
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same with another dictionary in the first block's header: its property is behind the sizes
/// and the flags of the block, and the filter's number and size (the .xz file format, 3.1 and
/// 5.3.1).
fn with_dictionary(packed: &[u8], property: u8) -> Vec<u8> {
    let mut packed = packed.to_vec();
    let end = 12 + (usize::from(packed[12]) + 1) * 4 - 4;
    assert_eq!(packed[13..17], [0, 0x21, 1, 16]);
    packed[16] = property;
    let mut crc = flate2::Crc::new();
    crc.update(&packed[12..end]);
    packed[end..end + 4].copy_from_slice(&crc.sum().to_le_bytes());
    packed
}

fn gz(bytes: &[u8], builder: GzBuilder) -> Vec<u8> {
    let mut encoder: GzEncoder<Vec<u8>> = builder.write(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// gzip with these flags, and these bytes between its header and its data (RFC 1952).
fn gz_by_hand(bytes: &[u8], flags: u8, fields: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Level::default());
    encoder.write_all(bytes).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let header = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
    let sums = [crc.sum().to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    [&header, fields, &encoder.finish().unwrap(), &sums].concat()
}

fn gz_with_header_check(bytes: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&gz_by_hand(b"", 2, b"")[..10]);
    gz_by_hand(bytes, 2, &(crc.sum() as u16).to_le_bytes())
}

fn zst(bytes: &[u8], check: bool, size: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(check).unwrap();
    encoder.include_contentsize(size).unwrap();
    if size {
        encoder.set_pledged_src_size(Some(bytes.len() as u64)).unwrap();
    }
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// zstd whose header asks for a window of 2^(10 + `exponent`) bytes (RFC 8878, 3.1.1.1): the
/// frame's own header is replaced.
fn with_window(bytes: &[u8], exponent: u8) -> Vec<u8> {
    let packed = zst(bytes, true, false);
    // Its own: a descriptor with a check and without a size, and a window.
    assert_eq!(packed[4] & !0x04, 0, "{:#x}", packed[4]);
    let size = (bytes.len() as u32).to_le_bytes();
    [&packed[..4], &[0x84, exponent << 3], &size, &packed[6..]].concat()
}
