// SPDX-License-Identifier: GPL-2.0
//! A stream of xz (the .xz file format, version 1.2): its header, and those of its blocks, which
//! its index finds.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// A stream of xz.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct XzStream {
    /// What proves that it was decompressed well.
    pub check: XzCheck,
    /// The filters before LZMA2 of each block, in their order; each chain once.
    pub filters: BTreeSet<Vec<XzFilter>>,
    /// The largest dictionary of its blocks in bytes: so much memory decompressing it takes.
    pub dictionary: u64,
}

/// A check (section 2.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are named as in the format")]
pub enum XzCheck {
    None,
    Crc32,
    Crc64,
    Sha256,
    /// A number that has no meaning yet.
    Other(u8),
}

/// A filter before LZMA2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct XzFilter {
    /// Which one.
    pub kind: XzFilterKind,
    /// Whether it has properties of its own: a filter of code an offset, delta a distance.
    pub properties: bool,
}

/// The filters (section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are named as in the format")]
pub enum XzFilterKind {
    Delta,
    X86,
    PowerPc,
    Ia64,
    Arm,
    ArmThumb,
    Sparc,
    Arm64,
    RiscV,
    /// A number that has no meaning yet.
    Other(u64),
}

/// The number of LZMA2.
const LZMA2: u64 = 0x21;

/// The length of a stream's header, and of its footer.
const HEADER: usize = 12;

impl XzStream {
    /// Reads one whole stream without what may follow it. `None` if it contradicts itself.
    pub(crate) fn read(stream: &[u8]) -> Option<Self> {
        let check = XzCheck::of(stream.get(7)? & 0xf);
        let mut at = HEADER;
        let (mut filters, mut dictionary) = (BTreeSet::new(), 0);
        for size in block_sizes(stream)? {
            let block = Block::read(stream.get(at..)?)?;
            dictionary = dictionary.max(block.dictionary);
            filters.insert(block.filters);
            at = at.checked_add(size)?.checked_next_multiple_of(4)?;
        }
        Some(Self { check, filters, dictionary })
    }
}

/// The sizes of the blocks without their padding, from the index (section 4).
fn block_sizes(stream: &[u8]) -> Option<Vec<usize>> {
    let footer = stream.len().checked_sub(HEADER)?;
    let backward: [u8; 4] = stream.get(footer + 4..footer + 8)?.try_into().ok()?;
    let index =
        footer.checked_sub((u32::from_le_bytes(backward) as usize).checked_add(1)?.checked_mul(4)?)?;
    let mut index = Reader(stream.get(index..footer)?);
    if index.byte()? != 0 {
        return None;
    }
    let count = index.number()?;
    let mut sizes = Vec::new();
    for _ in 0..count {
        sizes.push(usize::try_from(index.number()?).ok()?);
        index.number()?;
    }
    Some(sizes)
}

/// What a block's header says (section 3.1).
struct Block {
    filters: Vec<XzFilter>,
    dictionary: u64,
}

impl Block {
    fn read(block: &[u8]) -> Option<Self> {
        let size = (usize::from(*block.first()?) + 1) * 4;
        let mut header = Reader(block.get(1..size)?);
        let flags = header.byte()?;
        for size in [0x40, 0x80] {
            if flags & size != 0 {
                header.number()?;
            }
        }
        let mut filters = Vec::new();
        for _ in 0..flags & 3 {
            let (number, properties) = header.filter()?;
            filters.push(XzFilter { kind: XzFilterKind::of(number), properties: !properties.is_empty() });
        }
        match header.filter()? {
            (LZMA2, &[property]) => Some(Self { filters, dictionary: dictionary_of(property)? }),
            _ => None,
        }
    }
}

/// The size that LZMA2's property stands for (section 5.3.1).
fn dictionary_of(property: u8) -> Option<u64> {
    match property {
        0..40 => Some((2 | u64::from(property & 1)) << (property / 2 + 11)),
        40 => Some(u64::from(u32::MAX)),
        _ => None,
    }
}

/// Bytes that have not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of up to nine bytes (section 1.2).
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A filter's number and its properties (section 3.1.5).
    fn filter(&mut self) -> Option<(u64, &'a [u8])> {
        let number = self.number()?;
        let size = usize::try_from(self.number()?).ok()?;
        let (properties, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some((number, properties))
    }
}

impl XzCheck {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Crc32,
            4 => Self::Crc64,
            10 => Self::Sha256,
            other => Self::Other(other),
        }
    }
}

impl XzFilterKind {
    /// Those with a name, by their numbers.
    const NAMED: [(u64, Self, &'static str); 9] = [
        (3, Self::Delta, "delta"),
        (4, Self::X86, "x86"),
        (5, Self::PowerPc, "powerpc"),
        (6, Self::Ia64, "ia64"),
        (7, Self::Arm, "arm"),
        (8, Self::ArmThumb, "armthumb"),
        (9, Self::Sparc, "sparc"),
        (10, Self::Arm64, "arm64"),
        (11, Self::RiscV, "riscv"),
    ];

    fn of(number: u64) -> Self {
        let named = Self::NAMED.into_iter().find(|(known, ..)| *known == number);
        named.map_or(Self::Other(number), |(_, kind, _)| kind)
    }
}

impl fmt::Display for XzCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Crc32 => f.write_str("CRC32"),
            Self::Crc64 => f.write_str("CRC64"),
            Self::Sha256 => f.write_str("SHA-256"),
            Self::Other(number) => write!(f, "number {number}"),
        }
    }
}

impl fmt::Display for XzFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = XzFilterKind::NAMED.iter();
        match (named.find(|(_, kind, _)| *kind == self.kind), self.kind) {
            (Some((_, XzFilterKind::Delta, name)), _) => f.write_str(name),
            (Some((_, _, name)), _) if self.properties => write!(f, "{name} from an offset"),
            (Some((_, _, name)), _) => f.write_str(name),
            (None, kind) => write!(f, "{kind:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

    fn packed(check: Check, filters: impl FnOnce(&mut Filters) -> &mut Filters) -> Vec<u8> {
        let mut all = Filters::new();
        filters(&mut all).lzma2(&LzmaOptions::new_preset(0).unwrap());
        let stream = Stream::new_stream_encoder(&all, check).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&[7; 5000]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn check_filters_and_dictionary_are_read() {
        let filter = |kind, properties| XzFilter { kind, properties };
        let read = |check, filters| XzStream { check, filters: [filters].into(), dictionary: 1 << 18 };
        let x86 = filter(XzFilterKind::X86, false);
        for (bytes, expected) in [
            (packed(Check::None, |f| f), read(XzCheck::None, vec![])),
            (packed(Check::Crc64, |f| f), read(XzCheck::Crc64, vec![])),
            (packed(Check::Sha256, Filters::x86), read(XzCheck::Sha256, vec![x86])),
            (
                packed(Check::Crc32, |f| f.delta_properties(&[0]).unwrap().x86().riscv()),
                read(
                    XzCheck::Crc32,
                    vec![filter(XzFilterKind::Delta, true), x86, filter(XzFilterKind::RiscV, false)],
                ),
            ),
            (
                packed(Check::Crc32, |f| f.x86_properties(&[16, 0, 0, 0]).unwrap()),
                read(XzCheck::Crc32, vec![filter(XzFilterKind::X86, true)]),
            ),
        ] {
            assert_eq!(XzStream::read(&bytes), Some(expected));
            for end in 0..bytes.len() {
                XzStream::read(&bytes[..end]);
            }
        }
        assert_eq!((dictionary_of(0), dictionary_of(39)), (Some(4096), Some(3 << 30)));
    }
}
