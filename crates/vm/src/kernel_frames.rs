// SPDX-License-Identifier: GPL-2.0
//! Leads the kernel's own frames of a trace back to its source, where its debug information is on
//! this machine.
//!
//! A frame is a symbol and an offset, so it does not matter where the kernel was loaded.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::debug_information;
use kernel::kdir::Kdir;
use kernel::prepare::Prepared;
use object::{Object as _, ObjectSymbol as _, ReadCache, SymbolKind};

use crate::boot;
use crate::source_place::{SourcePlace, ask, line_of};
use crate::trace::{Frame, Trace};

/// The places of the kernel's own frames, each with the frame's number in the trace. All are asked
/// for at once: each time takes a second.
pub(crate) fn places(
    context: &Context,
    prepared: &Prepared,
    trace: &Trace,
) -> Result<Vec<(usize, Vec<SourcePlace>)>> {
    let own = |(_, frame): &(usize, &Frame)| frame.module.is_none();
    let frames: Vec<(usize, &Frame)> = trace.frames.iter().enumerate().filter(own).collect();
    let kdir = &prepared.kdir;
    let found = debug_information::find(kdir, &boot::vmlinux(context, kdir)?);
    let Some(file) = found.filter(|_| !frames.is_empty()) else { return Ok(Vec::new()) };
    let symbols = KernelSymbols::read(&file)?;
    let address = |(index, frame): (usize, &Frame)| Some((index, symbols.address(frame)? + frame.within()));
    let addresses: Vec<(usize, u64)> = frames.into_iter().filter_map(address).collect();
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let answers = ask(context, prepared, &file, &[], &addresses)?;
    let shown = |places: Vec<SourcePlace>| places.into_iter().map(|place| shown(place, kdir)).collect();
    Ok(addresses.iter().map(|(index, _)| *index).zip(answers.into_iter().map(shown)).collect())
}

/// Where the functions of a kernel begin.
#[derive(Default)]
struct KernelSymbols {
    /// By name: static functions of one name are in several files.
    begins: BTreeMap<String, Vec<u64>>,
    /// Each address at which a symbol is, in order.
    addresses: Vec<u64>,
}

impl KernelSymbols {
    /// Those of an ELF file, of which only the symbol table is read.
    fn read(file: &Utf8Path) -> Result<Self> {
        let cache = ReadCache::new(fs_err::File::open(file)?);
        let elf = object::File::parse(&cache).with_context(|| format!("reading {file}"))?;
        // What is written in assembly has no kind.
        let of_code = elf.symbols().filter(|symbol| {
            matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown | SymbolKind::Label)
        });
        Ok(Self::of(of_code.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))))
    }

    fn of(symbols: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut all = Self::default();
        for (name, address) in symbols.into_iter().filter(|(name, _)| is_in_the_kernels_table(name)) {
            all.addresses.push(address);
            let begins = all.begins.entry(name).or_default();
            if !begins.contains(&address) {
                begins.push(address);
            }
        }
        all.addresses.sort_unstable();
        all
    }

    /// Where the function of a frame begins. Of several with its name it is the one of its size, if
    /// only one is.
    fn address(&self, frame: &Frame) -> Option<u64> {
        match self.begins.get(&frame.function)?.as_slice() {
            [one] => Some(*one),
            several => {
                let mut fitting = several.iter().filter(|address| self.size(**address) == Some(frame.size));
                fitting.next().copied().filter(|_| fitting.next().is_none())
            }
        }
    }

    /// As the kernel reckons it: to where the next symbol is.
    fn size(&self, address: u64) -> Option<u64> {
        let next = self.addresses.partition_point(|other| *other <= address);
        Some(self.addresses.get(next)? - address)
    }
}

/// Whether the kernel has this symbol in the table that it names functions by (scripts/kallsyms.c).
fn is_in_the_kernels_table(name: &str) -> bool {
    let left_out = ["$", ".L", "L0", "__crc_", "__kstrtab_", "__kstrtabns_", "__kcfi_typeid_"];
    !name.is_empty() && !left_out.iter().any(|begin| name.starts_with(begin))
}

/// With a path below the kernel's source, and what stands there.
fn shown(place: SourcePlace, kdir: &Kdir) -> SourcePlace {
    let (source, build) = (kdir.source(), kdir.build());
    let file = place.file;
    let found = [&source, &build].into_iter().find_map(|tree| {
        let below = below(&file, |end| tree.join(end).is_file())?;
        Some((tree.join(&below), below))
    });
    let Some((there, below)) = found else {
        return SourcePlace { file: plain(&file), ..place };
    };
    let text = fs_err::read_to_string(there).ok().and_then(|text| line_of(&text, place.line));
    SourcePlace { file: below, text, ..place }
}

/// The longest end of `file` that `is_there` has: a path of the machine that it was compiled on
/// begins with that machine's directories.
fn below(file: &Utf8Path, is_there: impl Fn(&Utf8Path) -> bool) -> Option<Utf8PathBuf> {
    let plain = plain(file);
    let parts: Vec<&str> = plain.iter().filter(|part| *part != "/").collect();
    let ends = (0..parts.len()).map(|skipped| parts[skipped..].iter().collect::<Utf8PathBuf>());
    ends.into_iter().find(|end| is_there(end))
}

/// The path without `.` and `..`, as far as they can be told without looking.
fn plain(file: &Utf8Path) -> Utf8PathBuf {
    let mut plain = Utf8PathBuf::new();
    for part in file.iter().filter(|part| *part != ".") {
        if part == ".." && plain.file_name().is_some() {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, size: u64) -> Frame {
        Frame { part: None, function: function.to_owned(), offset: 0, size, module: None, exact: true }
    }

    #[test]
    fn of_functions_with_one_name_that_of_the_size_is_taken() {
        let table = [
            ("once", 0x1000),
            ("twice", 0x1040),
            (".Llocal", 0x1044),
            ("__pfx_other", 0x1060),
            ("other", 0x1070),
            ("twice", 0x2000),
            ("alias", 0x2000),
            ("alike", 0x2050),
            ("alike", 0x2060),
            ("alike", 0x2060),
            ("end", 0x2070),
        ];
        let symbols = KernelSymbols::of(table.map(|(name, address)| (name.to_owned(), address)));
        for (function, size, expected) in [
            ("once", 0x40, Some(0x1000)),
            // The only one, whatever is said of it.
            ("once", 0x44, Some(0x1000)),
            ("twice", 0x20, Some(0x1040)),
            ("twice", 0x50, Some(0x2000)),
            ("twice", 0x30, None),
            ("alike", 0x10, None),
            ("end", 0, Some(0x2070)),
            (".Llocal", 0x1c, None),
            ("nowhere", 0x10, None),
        ] {
            assert_eq!(symbols.address(&frame(function, size)), expected, "{function} {size:#x}");
        }
    }

    #[test]
    fn paths_of_the_machine_that_compiled_it_are_below_the_source() {
        let source = ["init/main.c", "arch/x86/entry/entry_64.S", "main.c"];
        let there = |end: &Utf8Path| source.contains(&end.as_str());
        for (file, expected) in [
            ("init/main.c", Some("init/main.c")),
            ("./init/main.c", Some("init/main.c")),
            ("/build/linux-7.2/debian/build/cloud/../../../init/main.c", Some("init/main.c")),
            ("/build/linux-7.2/arch/x86/entry/entry_64.S", Some("arch/x86/entry/entry_64.S")),
            ("../../init/./x/../main.c", Some("init/main.c")),
            ("/usr/lib/rustlib/src/rust/library/core/src/ptr/mod.rs", None),
        ] {
            assert_eq!(below(file.into(), there).as_deref(), expected.map(Utf8Path::new), "{file}");
        }
        assert_eq!(plain("/a/./b/../c.rs".into()), "/a/c.rs");
        assert_eq!(plain("../a.c".into()), "../a.c");
    }
}
