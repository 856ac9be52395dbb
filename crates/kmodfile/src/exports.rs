// SPDX-License-Identifier: GPL-2.0
//! The symbols that a module exports: `__ksymtab` and the tables beside it
//! (include/linux/export-internal.h).
//!
//! An entry of `__ksymtab` is three references: to the symbol, its name and its namespace. In a
//! relocatable file they are relocations, and the strings they point to are in `__ksymtab_strings`.
//! CRCs are in `__kcrctab`, in the same order. Newer kernels mark the symbols that are for modules
//! under the GPL only in `__kflagstab`, one byte per symbol; older ones put them into tables of
//! their own, whose names end with `_gpl`.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};
use serde::Serialize;

use crate::crc::Crc;
use crate::error::ParseError;

/// A symbol that a module exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Export {
    /// Its name.
    pub symbol: String,
    /// Its namespace, empty for none.
    pub namespace: String,
    /// Whether only modules with a licence compatible with the GPL may use it.
    pub gpl_only: bool,
    /// CRC of its prototype, where the module carries CRCs.
    pub crc: Option<Crc>,
}

/// Of the flags in `__kflagstab`, the one for GPL only (`KSYM_FLAG_GPL_ONLY`).
const GPL_ONLY: u8 = 1;

/// All exports of a module.
///
/// # Errors
///
/// One of the tables is damaged.
pub(crate) fn read(elf: &object::File<'_>) -> Result<Vec<Export>, ParseError> {
    let mut exports = table(elf, "__ksymtab", "__kcrctab")?;
    if let Some(section) = elf.section_by_name("__kflagstab") {
        let flags = section.data().map_err(|_| damaged("__kflagstab"))?;
        if flags.len() != exports.len() {
            return Err(damaged("__kflagstab"));
        }
        exports.iter_mut().zip(flags).for_each(|(export, flags)| export.gpl_only = flags & GPL_ONLY != 0);
    }
    let gpl = table(elf, "__ksymtab_gpl", "__kcrctab_gpl")?;
    exports.extend(gpl.into_iter().map(|export| Export { gpl_only: true, ..export }));
    Ok(exports)
}

/// One table and the CRCs that belong to it.
fn table(
    elf: &object::File<'_>,
    symbols: &'static str,
    crcs: &'static str,
) -> Result<Vec<Export>, ParseError> {
    let Some(section) = elf.section_by_name(symbols) else { return Ok(Vec::new()) };
    let mut exports = Vec::new();
    for entry in entries(elf, &section).ok_or_else(|| damaged(symbols))? {
        let crc = None;
        exports.push(Export { symbol: entry.name, namespace: entry.namespace, gpl_only: false, crc });
    }
    let Some(section) = elf.section_by_name(crcs) else { return Ok(exports) };
    let data = section.data().map_err(|_| damaged(crcs))?;
    let (numbers, rest) = data.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != exports.len() {
        return Err(damaged(crcs));
    }
    let number = if elf.is_little_endian() { u32::from_le_bytes } else { u32::from_be_bytes };
    exports.iter_mut().zip(numbers).for_each(|(export, bytes)| export.crc = Some(Crc(number(*bytes))));
    Ok(exports)
}

struct Entry {
    name: String,
    namespace: String,
}

/// The entries, by what their relocations point to. `None` if they are not triples of references.
fn entries(elf: &object::File<'_>, section: &object::Section<'_, '_>) -> Option<Vec<Entry>> {
    let strings = elf.section_by_name("__ksymtab_strings")?;
    let texts = strings.data().ok()?;
    let relocations: Vec<_> = section.relocations().collect();
    // All references have the same width: a pointer's, or half of it where they are relative.
    let Some((_, first)) = relocations.first() else { return (section.size() == 0).then(Vec::new) };
    let width = match first.size() {
        0 => reference_width(section.size(), relocations.len())?,
        bits => u64::from(bits) / 8,
    };
    let count = usize::try_from(section.size() / (3 * width)).ok()?;
    if section.size() % (3 * width) != 0 || relocations.len() < 2 * count {
        return None;
    }
    let mut found: Vec<[Option<String>; 3]> = vec![const { [None, None, None] }; count];
    for (offset, relocation) in relocations {
        let RelocationTarget::Symbol(index) = relocation.target() else { return None };
        let symbol = elf.symbol_by_index(index).ok()?;
        if symbol.section_index() == Some(strings.index()) {
            let at = usize::try_from(symbol.address().wrapping_add_signed(relocation.addend())).ok()?;
            let place = found.get_mut(usize::try_from(offset / (3 * width)).ok()?)?;
            place[usize::try_from(offset % (3 * width) / width).ok()?] = Some(text(texts, at)?);
        }
    }
    let entry = |[_, name, namespace]: [Option<String>; 3]| {
        Some(Entry { name: name?, namespace: namespace.unwrap_or_default() })
    };
    found.into_iter().map(entry).collect()
}

/// The width of a reference, where the relocation's type does not say it.
fn reference_width(size: u64, references: usize) -> Option<u64> {
    let width = size.checked_div(references as u64)?;
    [4, 8].contains(&width).then_some(width)
}

fn text(texts: &[u8], at: usize) -> Option<String> {
    let rest = texts.get(at..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn damaged(section: &'static str) -> ParseError {
    ParseError::Damaged(format!("section {section} is not a table of exported symbols"))
}
