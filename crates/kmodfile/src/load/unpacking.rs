// SPDX-License-Identifier: GPL-2.0
//! Who unpacks a module, and what they do not take.
//!
//! A kernel with `CONFIG_MODULE_DECOMPRESS` unpacks one format itself, that of its own modules
//! (kernel/module/decompress.c, with lib/xz, lib/zstd and lib/zlib_inflate), and takes less of it
//! than the programs make. libkmod hands a file in that format to the kernel as it is, and does not
//! unpack it itself when the kernel refuses; every other format it unpacks. depmod(8) and
//! modinfo(8) read every module through libkmod, whoever unpacks it later.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::compression::Compression;
use crate::config::Config;
use crate::packing::gzip::{GzipField, GzipMember};
use crate::packing::xz::{XzCheck, XzFilter, XzFilterKind, XzStream};
use crate::packing::zstd::ZstdFrame;
use crate::packing::{PackedUnit, Packing};

/// Who unpacks a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpacker {
    /// The kernel itself.
    Kernel,
    /// libkmod.
    Kmod,
}

/// Why a packed module cannot be unpacked. Its text goes behind "its xz is not what … takes".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is explained by its text (Display)")]
pub enum PackingFault {
    Check { is: XzCheck },
    Filters { are: Vec<XzFilter> },
    Dictionary { bytes: u64 },
    HeaderField { is: GzipField },
    Window { bytes: u64 },
    NoContentSize,
    Continued,
    Trailing { bytes: usize },
    Format,
}

/// A kmod, by the formats that it was built to unpack. One without a format does not even take a
/// file with that ending for a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kmod {
    formats: Vec<Compression>,
    /// Its version, `34`, if it says one.
    version: Option<u32>,
}

/// A kernel that unpacks modules itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelUnpacker {
    /// The one format that it knows.
    pub format: Compression,
    /// The filters of xz that it was built with (`CONFIG_XZ_DEC_X86` and the like).
    pub filters: BTreeSet<XzFilterKind>,
}

/// Filters of xz, and what has a kernel built with them (lib/xz/Kconfig).
const FILTERS: [(&str, XzFilterKind); 8] = [
    ("CONFIG_XZ_DEC_X86", XzFilterKind::X86),
    ("CONFIG_XZ_DEC_POWERPC", XzFilterKind::PowerPc),
    ("CONFIG_XZ_DEC_IA64", XzFilterKind::Ia64),
    ("CONFIG_XZ_DEC_ARM", XzFilterKind::Arm),
    ("CONFIG_XZ_DEC_ARMTHUMB", XzFilterKind::ArmThumb),
    ("CONFIG_XZ_DEC_SPARC", XzFilterKind::Sparc),
    ("CONFIG_XZ_DEC_ARM64", XzFilterKind::Arm64),
    ("CONFIG_XZ_DEC_RISCV", XzFilterKind::RiscV),
];

/// The largest dictionary that the kernel's xz knows (`xz_dec_lzma2_reset`); liblzma knows 4 GiB.
const LARGEST_DICTIONARY: u64 = 3 << 30;

/// The largest window that zstd takes unless told otherwise, and the kernel does not tell
/// (`ZSTD_MAXWINDOWSIZE_DEFAULT`).
const LARGEST_WINDOW: u64 = (1 << 27) + 1;

impl KernelUnpacker {
    /// The kernel with this configuration, if it unpacks modules itself.
    pub fn of(config: &Config) -> Option<Self> {
        let format = Compression::of_kernel(config)?;
        let configured = FILTERS.into_iter().filter(|(option, _)| config.is_yes(option));
        Some(Self { format, filters: configured.map(|(_, filter)| filter).collect() })
    }

    /// Whether it is the kernel, not kmod, that unpacks what is packed so.
    pub fn unpacks(&self, packing: &Packing) -> bool {
        packing.compression() == self.format
    }

    /// Why it cannot unpack a module that is left to it; every reason.
    pub fn faults(&self, packing: &Packing) -> Vec<PackingFault> {
        if !self.unpacks(packing) {
            return Vec::new();
        }
        let mut faults = match &packing.unit {
            PackedUnit::Gzip(member) => of_gzip(member),
            PackedUnit::Xz(stream) => self.of_xz(stream),
            PackedUnit::Zstd(frame) => of_zstd(frame),
        };
        faults.extend(packing.continued.then_some(PackingFault::Continued));
        faults
    }

    /// How much memory it takes for as long as it unpacks, in bytes.
    pub fn memory(&self, packing: &Packing) -> u64 {
        match &packing.unit {
            _ if !self.unpacks(packing) => 0,
            PackedUnit::Gzip(_) => 0,
            PackedUnit::Xz(stream) => stream.dictionary,
            PackedUnit::Zstd(frame) => frame.window,
        }
    }

    fn of_xz(&self, stream: &XzStream) -> Vec<PackingFault> {
        let check = !matches!(stream.check, XzCheck::None | XzCheck::Crc32);
        let check = check.then_some(PackingFault::Check { is: stream.check });
        let filters = stream.filters.iter().filter(|chain| !self.knows(chain));
        let filters = filters.map(|chain| PackingFault::Filters { are: chain.clone() });
        let dictionary = stream.dictionary > LARGEST_DICTIONARY;
        let dictionary = dictionary.then_some(PackingFault::Dictionary { bytes: stream.dictionary });
        check.into_iter().chain(filters).chain(dictionary).collect()
    }

    /// At most one filter for code is before LZMA2, and it begins where the code does.
    fn knows(&self, chain: &[XzFilter]) -> bool {
        match chain {
            [] => true,
            [only] => !only.properties && self.filters.contains(&only.kind),
            _ => false,
        }
    }
}

/// The kernel passes over a file's name in the header, and over nothing else that may be there.
fn of_gzip(member: &GzipMember) -> Vec<PackingFault> {
    let passed_over = |field: &GzipField| matches!(field, GzipField::Text | GzipField::Name);
    let others = member.fields.iter().filter(|field| !passed_over(field));
    others.map(|field| PackingFault::HeaderField { is: *field }).collect()
}

fn of_zstd(frame: &ZstdFrame) -> Vec<PackingFault> {
    let window = frame.window > LARGEST_WINDOW;
    window.then_some(PackingFault::Window { bytes: frame.window }).into_iter().collect()
}

impl Kmod {
    /// Reads what `kmod --version` prints: `+ZSTD +XZ -ZLIB +OPENSSL` is in it. `None` if it has no
    /// such words, as that of other programs of the name.
    pub fn parse(version: &str) -> Option<Self> {
        let words = [("ZLIB", Compression::Gzip), ("XZ", Compression::Xz), ("ZSTD", Compression::Zstd)];
        let mut formats = Vec::new();
        for (word, format) in words {
            let with =
                |sign: char| version.split_whitespace().any(|said| said.strip_prefix(sign) == Some(word));
            match (with('+'), with('-')) {
                (true, _) => formats.push(format),
                (false, true) => {}
                (false, false) => return None,
            }
        }
        let number = version.split_whitespace().skip_while(|word| *word != "version").nth(1);
        let number = number.and_then(|number| number.split('.').next()?.parse().ok());
        Some(Self { formats, version: number })
    }

    /// Whether it unpacks zstd into as many bytes as the first frame says that it has, and one
    /// frame alone: since kmod 34.
    fn wants_sized_zstd(&self) -> bool {
        self.version.is_none_or(|version| version >= 34)
    }

    /// Whether it unpacks this format.
    pub fn unpacks(&self, format: Compression) -> bool {
        self.formats.contains(&format)
    }
}

/// Why libkmod cannot read a module; every reason. gzip it reads like zlib, which passes over what
/// follows; zstd, since kmod 34, into as many bytes as the first frame says that it has. What it
/// was built for may not be known.
pub fn kmod_faults(packing: &Packing, kmod: Option<&Kmod>) -> Vec<PackingFault> {
    if kmod.is_some_and(|kmod| !kmod.unpacks(packing.compression())) {
        return vec![PackingFault::Format];
    }
    let zstd = match &packing.unit {
        PackedUnit::Zstd(frame) if kmod.is_none_or(Kmod::wants_sized_zstd) => Some(frame),
        PackedUnit::Gzip(_) | PackedUnit::Xz(_) | PackedUnit::Zstd(_) => None,
    };
    let size = zstd.is_some_and(|frame| frame.content.is_none());
    let continued = zstd.is_some() && packing.continued;
    let trailing = packing.trailing > 0 && !matches!(packing.unit, PackedUnit::Gzip(_));
    [
        size.then_some(PackingFault::NoContentSize),
        continued.then_some(PackingFault::Continued),
        trailing.then_some(PackingFault::Trailing { bytes: packing.trailing }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl fmt::Display for PackingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check { is } => write!(f, "its check is {is}, not CRC32"),
            Self::Filters { are } => {
                let names: Vec<String> = are.iter().map(ToString::to_string).collect();
                write!(f, "its filters are {} before LZMA2", names.join(", "))
            }
            Self::Dictionary { bytes } => write!(f, "its dictionary is {} MiB", bytes.div_ceil(1 << 20)),
            Self::HeaderField { is } => write!(f, "its header has {is}"),
            Self::Window { bytes } => write!(f, "its window is {} MiB", bytes.div_ceil(1 << 20)),
            Self::NoContentSize => f.write_str("its header does not say how large the module is"),
            Self::Continued => f.write_str("the module goes on after its first part"),
            Self::Trailing { bytes } => write!(f, "{bytes} other bytes follow its end"),
            Self::Format => f.write_str("it was built without it, as kmod --version says"),
        }
    }
}

impl fmt::Display for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "the kernel, which unpacks it itself,",
            Self::Kmod => "kmod (depmod, modprobe, modinfo)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

    use super::*;

    #[test]
    fn kmod_says_what_it_was_built_for() {
        let kmod = Kmod::parse("kmod version 34.2\n+ZSTD +XZ -ZLIB +OPENSSL\n").unwrap();
        assert_eq!(Compression::ALL.map(|format| kmod.unpacks(format)), [false, true, true]);
        assert_eq!(Kmod::parse("kmod version 26\n+XZ -ZLIB -EXPERIMENTAL\n"), None);
        assert_eq!(Kmod::parse("BusyBox v1.36"), None);
    }

    #[test]
    fn the_configuration_says_what_the_kernel_unpacks() {
        let config = |text: &str| KernelUnpacker::of(&Config::parse(text));
        assert_eq!(config("CONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_XZ_DEC_X86=y\n"), None);
        assert_eq!(config("CONFIG_MODULE_DECOMPRESS=y\n"), None);
        let xz = config("CONFIG_MODULE_DECOMPRESS=y\nCONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_XZ_DEC_X86=y\n");
        let filters = [XzFilterKind::X86].into();
        assert_eq!(xz, Some(KernelUnpacker { format: Compression::Xz, filters }));
    }

    #[test]
    fn what_is_packed_here_is_taken_by_all() {
        for kind in Compression::ALL {
            let (packing, _) = Packing::unpack(kind, &kind.compress(&[7; 100_000]).unwrap()).unwrap();
            let kernel = KernelUnpacker { format: kind, filters: BTreeSet::new() };
            assert_eq!((kernel.faults(&packing), kmod_faults(&packing, None)), (vec![], vec![]));
            assert!(kernel.memory(&packing) <= 1 << 22);
        }
    }

    /// What the programs make and a kernel does not take, here of the library that is also in
    /// xz(1); that a kernel does so is seen on a machine, by the tests of the repository.
    #[test]
    fn of_xz_a_kernel_takes_two_checks_and_the_filters_that_it_has() {
        let packed = |check: Check, x86: bool| {
            let mut filters = Filters::new();
            if x86 {
                filters.x86();
            }
            filters.lzma2(&LzmaOptions::new_preset(6).unwrap());
            let stream = Stream::new_stream_encoder(&filters, check).unwrap();
            let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            encoder.write_all(&[7; 100_000]).unwrap();
            Packing::unpack(Compression::Xz, &encoder.finish().unwrap()).unwrap().0
        };
        let with = |filters| KernelUnpacker { format: Compression::Xz, filters };
        let (plain, x86) = (with(BTreeSet::new()), with([XzFilterKind::X86].into()));
        for (check, fault) in [
            (Check::None, None),
            (Check::Crc32, None),
            (Check::Crc64, Some(PackingFault::Check { is: XzCheck::Crc64 })),
            (Check::Sha256, Some(PackingFault::Check { is: XzCheck::Sha256 })),
        ] {
            let packing = packed(check, false);
            assert_eq!(plain.faults(&packing), Vec::from_iter(fault), "{check:?}");
            assert_eq!(kmod_faults(&packing, None), [], "{check:?}");
            // What is not its own format, a kernel leaves to kmod.
            assert_eq!(KernelUnpacker { format: Compression::Zstd, ..plain.clone() }.faults(&packing), []);
        }
        let filtered = packed(Check::Crc32, true);
        assert_eq!(x86.faults(&filtered), []);
        assert!(matches!(plain.faults(&filtered)[..], [PackingFault::Filters { .. }]));
        // One stream behind another.
        let twice = Compression::Xz.compress(b"x").unwrap().repeat(2);
        let (twice, _) = Packing::unpack(Compression::Xz, &twice).unwrap();
        assert_eq!((x86.faults(&twice), kmod_faults(&twice, None)), (vec![PackingFault::Continued], vec![]));
    }

    #[test]
    fn of_gzip_a_kernel_passes_over_a_name_and_nothing_else() {
        let kernel = KernelUnpacker { format: Compression::Gzip, filters: BTreeSet::new() };
        let faults = |builder: flate2::GzBuilder| {
            let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
            encoder.write_all(b"x").unwrap();
            kernel.faults(&Packing::unpack(Compression::Gzip, &encoder.finish().unwrap()).unwrap().0)
        };
        let header = flate2::GzBuilder::new;
        assert_eq!(faults(header().filename("x.ko").mtime(1)), []);
        for builder in [header().extra("x"), header().comment("x"), header().filename("x.ko").comment("x")] {
            let faults = faults(builder);
            assert!(matches!(faults[..], [PackingFault::HeaderField { .. }]), "{faults:?}");
        }
    }

    #[test]
    fn of_zstd_kmod_wants_one_frame_that_says_how_large_it_is() {
        let kernel = KernelUnpacker { format: Compression::Zstd, filters: BTreeSet::new() };
        let faults = |packed: &[u8]| {
            let (packing, _) = Packing::unpack(Compression::Zstd, packed).unwrap();
            (kernel.faults(&packing), kmod_faults(&packing, None))
        };
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(b"x").unwrap();
        let unsized_frame = encoder.finish().unwrap();
        assert_eq!(faults(&unsized_frame), (vec![], vec![PackingFault::NoContentSize]));
        let twice = Compression::Zstd.compress(b"x").unwrap().repeat(2);
        assert_eq!(faults(&twice), (vec![PackingFault::Continued], vec![PackingFault::Continued]));
        // Debian 12's was seen to read both.
        let older = Kmod::parse("kmod version 30\n+ZSTD +XZ -ZLIB +LIBCRYPTO -EXPERIMENTAL\n").unwrap();
        for packed in [unsized_frame, twice] {
            let (packing, _) = Packing::unpack(Compression::Zstd, &packed).unwrap();
            assert_eq!(kmod_faults(&packing, Some(&older)), []);
        }
    }
}
