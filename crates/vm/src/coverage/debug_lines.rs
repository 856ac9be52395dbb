// SPDX-License-Identifier: GPL-2.0
//! Debug information of a module: which lines of the source a piece of its code is made of.
//!
//! A module is not linked: each of its sections begins at 0, and what its debug information has to
//! say of addresses is left to be filled in. It is filled in here as if the sections lay one after
//! another.

use std::collections::{BTreeSet, HashMap};

use addr2line::{Context as DwarfContext, Frame};
use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationKind, RelocationTarget, SectionIndex,
    SectionKind,
};

use crate::symbol_name::demangled;

/// A line of a file, by the path that the compiler knew it by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceLine {
    pub(crate) file: Utf8PathBuf,
    pub(crate) line: u32,
}

/// The debug information of a module, filled in.
pub(crate) struct DebugInformation {
    sections: DwarfSections<Vec<u8>>,
    starts: Starts,
}

/// Where sections of code lie.
type Starts = HashMap<SectionIndex, u64>;

impl DebugInformation {
    /// Reads that of a module.
    pub(crate) fn read(elf: &object::File<'_>) -> Result<Self> {
        let starts = starts(elf.sections().filter(|section| section.kind() == SectionKind::Text));
        let section = |id: SectionId| elf.section_by_name(id.name());
        let sections = DwarfSections::load(|id| {
            section(id).map_or(Ok(Vec::new()), |section| filled_in(elf, &section, &starts))
        })?;
        Ok(Self { sections, starts })
    }

    /// What can be asked of it.
    pub(crate) fn lines(&self) -> Result<DebugLines<'_>> {
        let dwarf = self.sections.borrow(|bytes| EndianSlice::new(bytes, RunTimeEndian::Little));
        Ok(DebugLines { context: DwarfContext::from_dwarf(dwarf)?, starts: &self.starts })
    }
}

/// One after another, and none at 0, which stands for code that was left out.
fn starts<'a>(sections: impl Iterator<Item = impl object::ObjectSection<'a>>) -> Starts {
    let mut next = FIRST;
    let mut starts = Starts::new();
    for section in sections {
        starts.insert(section.index(), next);
        next += section.size().next_multiple_of(FIRST);
    }
    starts
}

/// Where the first section lies.
const FIRST: u64 = 0x1000;

/// The bytes of a section with debug information, the addresses in it filled in. What is no plain
/// number is left as it is: nothing that leads to lines.
fn filled_in<'a>(
    elf: &object::File<'a>,
    section: &impl object::ObjectSection<'a>,
    starts: &Starts,
) -> Result<Vec<u8>> {
    let mut bytes = section.uncompressed_data()?.into_owned();
    for (offset, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        if relocation.kind() != RelocationKind::Absolute {
            continue;
        }
        let symbol = elf.symbol_by_index(index)?;
        let start = symbol.section_index().and_then(|index| starts.get(&index)).copied().unwrap_or(0);
        let value = start.wrapping_add(symbol.address()).wrapping_add_signed(relocation.addend());
        fill(&mut bytes, offset, relocation.size(), value);
    }
    Ok(bytes)
}

/// Writes so many bits of a number, the least first, if they are within the section.
fn fill(bytes: &mut [u8], offset: u64, bits: u8, value: u64) {
    let width = usize::from(bits / 8);
    let place = usize::try_from(offset).ok().and_then(|at| bytes.get_mut(at..at.checked_add(width)?));
    if let (Some(place), Some(number)) = (place, value.to_le_bytes().get(..width)) {
        place.copy_from_slice(number);
    }
}

/// Leads code back to lines.
pub(crate) struct DebugLines<'a> {
    context: DwarfContext<EndianSlice<'a, RunTimeEndian>>,
    starts: &'a Starts,
}

/// What a piece of code is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// Its lines; of what was inlined there also those that it was called from.
    pub(crate) lines: BTreeSet<SourceLine>,
    /// The functions that it is of, inlined ones and those that they were inlined into.
    pub(crate) functions: BTreeSet<FunctionName>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionName {
    /// The file that it is in, as the compiler knew it.
    pub(crate) file: Utf8PathBuf,
    /// By the name that the source has for it.
    pub(crate) name: String,
}

impl<'a> DebugLines<'a> {
    /// What the code of a section between two offsets is made of.
    pub(crate) fn code(&self, section: SectionIndex, begin: u64, end: u64) -> Result<Code> {
        let start = self.starts.get(&section).copied().unwrap_or(0);
        let (begin, end) = (start + begin, start + end);
        let mut code = Code::default();
        for (address, ..) in self.context.find_location_range(begin, end)? {
            for frame in self.frames(address.max(begin))? {
                let Some(line) = line_of(&frame) else { continue };
                if let Some(name) = name_of(&frame)? {
                    code.functions.insert(FunctionName { file: line.file.clone(), name });
                }
                code.lines.insert(line);
            }
        }
        Ok(code)
    }

    /// The function that has code at an offset, inlined into no other, and the line that this code
    /// is of.
    pub(crate) fn function(&self, section: SectionIndex, offset: u64) -> Result<Option<(FunctionName, u32)>> {
        let start = self.starts.get(&section).copied().unwrap_or(0);
        let frames = self.frames(start + offset)?;
        let Some(outermost) = frames.last() else { return Ok(None) };
        let found = line_of(outermost).zip(name_of(outermost)?);
        Ok(found.map(|(SourceLine { file, line }, name)| (FunctionName { file, name }, line)))
    }

    /// The innermost first.
    fn frames(&self, address: u64) -> Result<Vec<Frame<'_, EndianSlice<'a, RunTimeEndian>>>> {
        let mut frames = self.context.find_frames(address).skip_all_loads()?;
        let mut all = Vec::new();
        while let Some(frame) = frames.next()? {
            all.push(frame);
        }
        Ok(all)
    }
}

fn line_of(frame: &Frame<'_, EndianSlice<'_, RunTimeEndian>>) -> Option<SourceLine> {
    let location = frame.location.as_ref()?;
    let line = location.line.filter(|line| *line > 0)?;
    Some(SourceLine { file: plain(location.file?.into()), line })
}

fn name_of(frame: &Frame<'_, EndianSlice<'_, RunTimeEndian>>) -> Result<Option<String>> {
    let name = frame.function.as_ref().map(|name| Ok::<_, gimli::Error>(demangled(&name.raw_name()?)));
    Ok(name.transpose()?)
}

/// The path of a file without what means nothing.
fn plain(path: &Utf8Path) -> Utf8PathBuf {
    path.components().filter(|part| part.as_str() != ".").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_without_what_means_nothing() {
        assert_eq!(plain("./src/./a.c".into()), "src/a.c");
        assert_eq!(plain("/s/./a.c".into()), "/s/a.c");
    }

    #[test]
    fn numbers_are_written_where_they_fit() {
        for (offset, bits, expected) in [
            (1, 32, [0, 4, 3, 2, 1, 0]),
            (4, 16, [0, 0, 0, 0, 4, 3]),
            // No such number, and no room.
            (0, 0, [0; 6]),
            (3, 32, [0; 6]),
            (u64::MAX, 32, [0; 6]),
            (0, 128, [0; 6]),
        ] {
            let mut bytes = [0; 6];
            fill(&mut bytes, offset, bits, 0x0102_0304);
            assert_eq!(bytes, expected, "{offset} {bits}");
        }
    }
}
