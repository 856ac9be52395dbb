// SPDX-License-Identifier: GPL-2.0
//! The CRCs of the symbols that a module imports (`CONFIG_MODVERSIONS`): `__versions`, and for
//! names too long for it `__version_ext_crcs` with `__version_ext_names` (include/linux/module.h,
//! kernel/module/version.c).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::crc::Crc;

/// The symbol versions that a module was built against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// `__versions`, by symbol; `None` if the module has no such section.
    pub basic: Option<BTreeMap<String, Crc>>,
    /// `__version_ext_*`, by symbol; `None` if the module has no such sections.
    pub extended: Option<BTreeMap<String, Crc>>,
}

impl Versions {
    /// Whether the module carries any.
    pub fn present(&self) -> bool {
        self.basic.is_some() || self.extended.is_some()
    }

    /// The CRC that the kernel would compare for `symbol`. Where extended versions exist, only
    /// those are looked at.
    pub fn get(&self, symbol: &str) -> Option<Crc> {
        self.extended.as_ref().or(self.basic.as_ref())?.get(symbol).copied()
    }

    /// All CRCs, by symbol.
    pub fn all(&self) -> impl Iterator<Item = (&str, Crc)> {
        let both = self.extended.as_ref().or(self.basic.as_ref());
        both.into_iter().flatten().map(|(symbol, crc)| (symbol.as_str(), *crc))
    }
}

/// Bytes of one entry of `__versions`: a long, then the name.
const ENTRY: usize = 64;

/// Reads `__versions`, whose entries begin with a long of `long` bytes. `None` if it is not a whole
/// number of entries, or a name does not end.
pub(crate) fn basic(
    section: &[u8],
    long: usize,
    number: impl Fn([u8; 4]) -> u32,
) -> Option<BTreeMap<String, Crc>> {
    let (entries, rest) = section.as_chunks::<ENTRY>();
    // The CRC is in the low four bytes of the long: the first four of eight, or on a big-endian
    // machine the last.
    let crc = |entry: &[u8; ENTRY]| {
        let bytes = entry[..long].as_chunks::<4>().0;
        bytes.iter().map(|half| number(*half)).find(|half| *half != 0).unwrap_or(0)
    };
    let read = |entry: &[u8; ENTRY]| Some((text(&entry[long..])?, Crc(crc(entry))));
    if !rest.is_empty() {
        return None;
    }
    entries.iter().map(read).collect()
}

/// Reads `__version_ext_crcs` and `__version_ext_names`. `None` if there are more CRCs than names.
pub(crate) fn extended(
    crcs: &[u8],
    names: &[u8],
    number: impl Fn([u8; 4]) -> u32,
) -> Option<BTreeMap<String, Crc>> {
    let (crcs, rest) = crcs.as_chunks::<4>();
    let mut names = names.split_inclusive(|byte| *byte == 0);
    let named = crcs.iter().map(|crc| Some((text(names.next()?)?, Crc(number(*crc)))));
    let versions = named.collect::<Option<_>>()?;
    rest.is_empty().then_some(versions)
}

/// The text before the zero byte, which must be there.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(crc: u32, name: &str) -> Vec<u8> {
        let mut entry = u64::from(crc).to_le_bytes().to_vec();
        entry.extend(name.bytes());
        entry.resize(ENTRY, 0);
        entry
    }

    #[test]
    fn entries_are_read() {
        let section = [entry(0x1b2c_3d4e, "module_layout"), entry(0, "zero")].concat();
        let versions = basic(&section, 8, u32::from_le_bytes).unwrap();
        assert_eq!(versions["module_layout"], Crc(0x1b2c_3d4e));
        assert_eq!(versions["zero"].to_string(), "0x00000000");
        assert_eq!(basic(&section[..100], 8, u32::from_le_bytes), None);
        assert_eq!(basic(&[b'x'; 64], 8, u32::from_le_bytes), None, "a name that does not end");
    }

    #[test]
    fn extended_versions_come_first() {
        let crcs = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
        let extended_versions = extended(&crcs, b"first\0second\0", u32::from_le_bytes).unwrap();
        assert_eq!(extended(&crcs, b"first\0", u32::from_le_bytes), None);
        assert_eq!(extended(&crcs[..7], b"first\0second\0", u32::from_le_bytes), None);
        let basic = basic(&entry(9, "first"), 8, u32::from_le_bytes);
        let mut versions = Versions { basic, extended: None };
        assert_eq!(versions.get("first"), Some(Crc(9)));
        versions.extended = Some(extended_versions);
        assert_eq!((versions.get("first"), versions.all().count()), (Some(Crc(1)), 2));
    }
}
