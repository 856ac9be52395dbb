// SPDX-License-Identifier: GPL-2.0
//! Finds a section by name in a little-endian ELF64 file.

/// Reads a little-endian number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

/// One section header, as far as it is of use here.
struct Section {
    name: u64,
    kind: u64,
    offset: u64,
    size: u64,
    link: u64,
}

/// `sh_type` of a section that takes no room in the file.
const NOBITS: u64 = 8;
/// `e_shstrndx` that says: look into `sh_link` of section 0.
const XINDEX: u64 = 0xffff;

/// Reads section header `index`.
fn header(file: &[u8], table: u64, entry: u64, index: u64) -> Option<Section> {
    let at = usize::try_from(index.checked_mul(entry)?.checked_add(table)?).ok()?;
    let field = |off: usize| at.checked_add(off);
    Some(Section {
        name: number::<4>(file, at)?,
        kind: number::<4>(file, field(4)?)?,
        offset: number::<8>(file, field(24)?)?,
        size: number::<8>(file, field(32)?)?,
        link: number::<4>(file, field(40)?)?,
    })
}

/// The bytes of a section; nothing when it takes no room in the file.
fn content<'a>(file: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    if section.kind == NOBITS {
        return Some(&[]);
    }
    let start = usize::try_from(section.offset).ok()?;
    let end = usize::try_from(section.offset.checked_add(section.size)?).ok()?;
    file.get(start..end)
}

/// The section called `name`; `Ok(None)` when the file is sound and has none.
///
/// # Errors
///
/// The file is no little-endian ELF64 file, or its section table is damaged.
pub fn section<'a>(file: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, String> {
    // Magic number, 64 bits, little-endian.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no little-endian ELF64 file".into());
    }
    find(file, name).ok_or_else(|| "its ELF section table is damaged".into())
}

/// As [`section`]; the outer `None` says that the table is damaged.
fn find<'a>(file: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    let table = number::<8>(file, 40)?;
    let entry = number::<2>(file, 58)?;
    if table == 0 || entry < 64 {
        return if table == 0 { Some(None) } else { None };
    }
    let first = header(file, table, entry, 0)?;
    // A file with very many sections keeps these two numbers in section 0.
    let count = match number::<2>(file, 60)? {
        0 => first.size,
        count => count,
    };
    let names_at = match number::<2>(file, 62)? {
        XINDEX => first.link,
        index => index,
    };
    let names = content(file, &header(file, table, entry, names_at)?)?;
    // Bounded by the file: `header` fails at the first one that lies outside.
    for index in 1..count {
        let section = header(file, table, entry, index)?;
        let start = names.get(usize::try_from(section.name).ok()?..)?;
        let found = start.split(|byte| *byte == 0).next()?;
        if found == name.as_bytes() {
            return content(file, &section).map(Some);
        }
    }
    Some(None)
}
