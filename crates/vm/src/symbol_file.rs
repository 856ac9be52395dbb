// SPDX-License-Identifier: GPL-2.0
//! An ELF file with nothing in it but where a kernel's functions are, for a debugger.

use kmodfile::architecture::Architecture;
use object::elf::{
    ELFCLASS64, ELFDATA2LSB, ET_EXEC, EV_CURRENT, SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_STRTAB,
    SHT_SYMTAB, STB_GLOBAL, STT_FUNC,
};

/// Bytes of the header of an ELF file of 64 bits, of one of its sections, and of a symbol (elf(5)).
const HEADER: u64 = 64;
const SECTION: u64 = 64;
const SYMBOL: u64 = 24;

/// Bytes at the beginning of the header that say what the rest is like.
const IDENTITY: usize = 16;

/// The names of the sections, and where each begins in them.
const NAMES: &[u8] = b"\0.text\0.symtab\0.strtab\0";

/// One section's header.
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    entry: u64,
}

/// The file for functions given as lines of address, in hexadecimal digits, and name; a function
/// ends where the next begins. `None` if there are none.
pub(crate) fn of(architecture: Architecture, lines: &str) -> Option<Vec<u8>> {
    let mut functions: Vec<(u64, &str)> = lines.lines().filter_map(function).collect();
    functions.sort_unstable();
    let (first, last) = (functions.first()?.0, functions.last()?.0);
    let (mut strings, mut symbols) = (vec![0], vec![0; SYMBOL as usize]);
    for (at, (address, name)) in functions.iter().enumerate() {
        let end = functions[at..].iter().map(|(next, _)| *next).find(|next| next > address);
        symbol(&mut symbols, strings.len(), *address, end.unwrap_or(*address) - address);
        strings.extend(name.as_bytes());
        strings.push(0);
    }
    strings.extend(NAMES);
    let (symbols_at, names) = (HEADER, strings.len() - NAMES.len());
    let strings_at = symbols_at + symbols.len() as u64;
    let sections_at = strings_at + strings.len() as u64;
    let name = |at: usize| u32::try_from(names + at).ok();
    let sections = [
        Section::none(),
        Section {
            kind: SHT_NOBITS.0,
            flags: (SHF_ALLOC | SHF_EXECINSTR).0,
            address: first,
            offset: HEADER,
            size: last - first + 1,
            ..Section::named(name(1)?)
        },
        Section {
            kind: SHT_SYMTAB.0,
            offset: symbols_at,
            size: symbols.len() as u64,
            link: 3,
            // All but the first are seen by everybody.
            info: 1,
            entry: SYMBOL,
            ..Section::named(name(7)?)
        },
        Section {
            kind: SHT_STRTAB.0,
            offset: strings_at,
            size: strings.len() as u64,
            ..Section::named(name(15)?)
        },
    ];
    let mut file = header(architecture, sections_at, sections.len());
    file.extend(symbols);
    file.extend(strings);
    sections.iter().for_each(|section| section.add_to(&mut file));
    Some(file)
}

fn function(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.split_once(' ')?;
    let address = u64::from_str_radix(address, 16).ok()?;
    (address != 0 && !name.is_empty()).then_some((address, name))
}

fn symbol(symbols: &mut Vec<u8>, name: usize, address: u64, size: u64) {
    symbols.extend(u32::try_from(name).unwrap_or_default().to_le_bytes());
    symbols.extend([(STB_GLOBAL.0 << 4) | STT_FUNC.0, 0]);
    // In the first section.
    symbols.extend(1_u16.to_le_bytes());
    symbols.extend(address.to_le_bytes());
    symbols.extend(size.to_le_bytes());
}

fn header(architecture: Architecture, sections_at: u64, sections: usize) -> Vec<u8> {
    let mut header = b"\x7fELF".to_vec();
    header.extend([ELFCLASS64.0, ELFDATA2LSB.0, EV_CURRENT.0]);
    header.resize(IDENTITY, 0);
    header.extend(ET_EXEC.0.to_le_bytes());
    header.extend(architecture.elf().to_le_bytes());
    header.extend(u32::from(EV_CURRENT.0).to_le_bytes());
    // Entry, program headers: none.
    header.extend([0; 16]);
    header.extend(sections_at.to_le_bytes());
    header.extend([0; 4]);
    let sizes = [HEADER as u16, 0, 0, SECTION as u16, sections as u16, sections as u16 - 1];
    header.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
    header
}

impl Section {
    fn none() -> Self {
        Self::named(0)
    }

    fn named(name: u32) -> Self {
        Self { name, kind: 0, flags: 0, address: 0, offset: 0, size: 0, link: 0, info: 0, entry: 0 }
    }

    fn add_to(&self, file: &mut Vec<u8>) {
        file.extend(self.name.to_le_bytes());
        file.extend(self.kind.to_le_bytes());
        for number in [self.flags, self.address, self.offset, self.size] {
            file.extend(number.to_le_bytes());
        }
        file.extend(self.link.to_le_bytes());
        file.extend(self.info.to_le_bytes());
        for number in [1, self.entry] {
            file.extend(number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSymbol as _};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let lines =
            "ffffffff81000010 second\nffffffff81000000 first\n0 none\nnonsense\nffffffff81000010 also\n";
        let file = of(Architecture::Amd64, lines).unwrap();
        let elf = object::File::parse(file.as_slice()).unwrap();
        let mut symbols: Vec<(u64, u64, &str)> = elf
            .symbols()
            .filter(|symbol| symbol.address() != 0)
            .map(|symbol| (symbol.address(), symbol.size(), symbol.name().unwrap()))
            .collect();
        symbols.sort_unstable();
        let base = 0xffff_ffff_8100_0000;
        assert_eq!(symbols, [(base, 0x10, "first"), (base + 0x10, 0, "also"), (base + 0x10, 0, "second")]);
        assert_eq!(elf.architecture(), object::Architecture::X86_64);
        assert!(of(Architecture::Arm64, "").is_none());
    }
}
