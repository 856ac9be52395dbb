// SPDX-License-Identifier: GPL-2.0
//! What is in a module: the ELF file of a `.ko`, read.

use std::fmt;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;

use crate::exports::{self, Export};
use crate::modinfo::Modinfo;
use crate::signature::{self, Trailer};
use crate::versions::{self, Versions};

/// A module, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Module {
    /// What it says of itself.
    pub modinfo: Modinfo,
    /// The architecture it is for, `x86_64`; with `-be` for the big-endian one of two.
    pub architecture: String,
    /// Symbols that the kernel or other modules must export.
    pub imports: Vec<Import>,
    /// CRCs of the imports.
    pub versions: Versions,
    /// Symbols that it exports.
    pub exports: Vec<Export>,
    /// What is behind the ELF file.
    pub signature: Trailer,
    /// Type information.
    pub btf: Btf,
    /// Whether Rust is in it.
    pub rust: bool,
    /// The compilers it was made with, each once.
    pub compilers: Vec<String>,
    /// The linker's hash over what is loaded, in hexadecimal digits.
    pub build_id: Option<String>,
    /// Whether debug information is in it: it is not stripped.
    pub debug_info: bool,
    /// Whether there is a symbol table, without which no kernel loads it.
    pub symbols: bool,
    /// Bytes of the kernel's `struct module`, which is in it; they must be the kernel's own.
    pub struct_module: u64,
}

/// A symbol that a module needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name.
    pub symbol: String,
    /// Whether the module does without it.
    pub weak: bool,
}

/// Type information for BPF (Documentation/bpf/btf.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Btf {
    /// None.
    None,
    /// Numbered after the types of the very kernel that the module was built against (`.BTF`).
    Split,
    /// With a copy of what it refers to (`.BTF.base`), so that a kernel can renumber it when it loads the module.
    Distilled,
}

/// Why bytes are no module that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// They are no ELF file.
    NotElf,
    /// They begin as an ELF file and end too early, or contradict themselves.
    Damaged(String),
    /// They are an ELF file, but no module; what is missing in it.
    NotAModule(&'static str),
}

impl Unreadable {
    /// What can be done about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Damaged(_) => Some("it is truncated or corrupted: build it, or fetch its package, again"),
            Self::NotElf | Self::NotAModule(_) => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("is no kernel module: no ELF file"),
            Self::Damaged(why) => write!(f, "is damaged: {why}"),
            Self::NotAModule(missing) => write!(f, "is an ELF file, but no kernel module: {missing}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The section that holds the kernel's `struct module`.
const THIS_MODULE: &str = ".gnu.linkonce.this_module";

impl Module {
    /// Reads a module's bytes, not compressed: the ELF file, and the signature behind it if there is one.
    ///
    /// # Errors
    ///
    /// They are no module, or a damaged one.
    pub fn parse(image: &[u8]) -> Result<Self, Unreadable> {
        let (bytes, signature) = signature::split(image);
        if !bytes.starts_with(b"\x7fELF") {
            return Err(Unreadable::NotElf);
        }
        let elf = object::File::parse(bytes).map_err(|error| Unreadable::Damaged(error.to_string()))?;
        require_whole(&elf)?;
        if elf.kind() != object::ObjectKind::Relocatable {
            return Err(Unreadable::NotAModule("it is not relocatable"));
        }
        let modinfo = data(&elf, ".modinfo")?.ok_or(Unreadable::NotAModule("it has no .modinfo"))?;
        let this_module =
            elf.section_by_name(THIS_MODULE).ok_or(Unreadable::NotAModule("it has no struct module"))?;
        let compilers = compilers(data(&elf, ".comment")?.unwrap_or_default());
        Ok(Self {
            modinfo: Modinfo::parse(modinfo),
            architecture: architecture(&elf),
            imports: imports(&elf)?,
            versions: read_versions(&elf)?,
            exports: exports::read(&elf)?,
            signature,
            btf: btf(&elf),
            rust: compilers.iter().any(|compiler| compiler.starts_with("rustc ")),
            compilers,
            build_id: elf.build_id().ok().flatten().map(digits),
            debug_info: elf.section_by_name(".debug_info").is_some(),
            symbols: elf.symbol_table().is_some(),
            struct_module: this_module.size(),
        })
    }

    /// Its name, as `/proc/modules` shows it.
    pub fn name(&self) -> Option<String> {
        Some(self.modinfo.get("name")?.replace('-', "_"))
    }
}

/// Every section's bytes are in the file, as the kernel requires.
fn require_whole(elf: &object::File<'_>) -> Result<(), Unreadable> {
    for section in elf.sections() {
        if section.data().is_err() {
            let name = section.name().unwrap_or("without a name");
            return Err(Unreadable::Damaged(format!("section {name} reaches beyond the end of the file")));
        }
    }
    Ok(())
}

fn data<'a>(elf: &object::File<'a>, name: &'static str) -> Result<Option<&'a [u8]>, Unreadable> {
    let section = elf.section_by_name(name).map(|section| section.data());
    section.transpose().map_err(|error| Unreadable::Damaged(format!("section {name}: {error}")))
}

fn architecture(elf: &object::File<'_>) -> String {
    let name = format!("{:?}", elf.architecture()).to_lowercase();
    if elf.is_little_endian() { name } else { format!("{name}-be") }
}

fn imports(elf: &object::File<'_>) -> Result<Vec<Import>, Unreadable> {
    let mut imports = Vec::new();
    for symbol in elf.symbols().filter(|symbol| symbol.is_undefined()) {
        let name = symbol.name_bytes();
        let name = name.map_err(|error| Unreadable::Damaged(format!("the symbol table: {error}")))?;
        if !name.is_empty() {
            imports
                .push(Import { symbol: String::from_utf8_lossy(name).into_owned(), weak: symbol.is_weak() });
        }
    }
    Ok(imports)
}

fn read_versions(elf: &object::File<'_>) -> Result<Versions, Unreadable> {
    let damaged = || Unreadable::Damaged("its symbol versions are no table".to_owned());
    let number = if elf.is_little_endian() { u32::from_le_bytes } else { u32::from_be_bytes };
    let long = if elf.is_64() { 8 } else { 4 };
    let basic = match data(elf, "__versions")? {
        None => None,
        Some(section) => Some(versions::basic(section, long, number).ok_or_else(damaged)?),
    };
    let extended = match (data(elf, "__version_ext_crcs")?, data(elf, "__version_ext_names")?) {
        (None, None) => None,
        (Some(crcs), Some(names)) => Some(versions::extended(crcs, names, number).ok_or_else(damaged)?),
        _ => return Err(damaged()),
    };
    Ok(Versions { basic, extended })
}

fn btf(elf: &object::File<'_>) -> Btf {
    match (elf.section_by_name(".BTF"), elf.section_by_name(".BTF.base")) {
        (None, _) => Btf::None,
        (Some(_), None) => Btf::Split,
        (Some(_), Some(_)) => Btf::Distilled,
    }
}

/// The strings of `.comment`, each once: every compiler leaves one, once for each file that it compiled.
fn compilers(comment: &[u8]) -> Vec<String> {
    let mut compilers: Vec<String> = Vec::new();
    for text in comment.split(|byte| *byte == 0).filter(|text| !text.is_empty()) {
        if !compilers.iter().any(|known| known.as_bytes() == text) {
            compilers.push(String::from_utf8_lossy(text).into_owned());
        }
    }
    compilers
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_no_module() {
        for bytes in [&b""[..], b"#!/bin/sh\n", &[0xff; 4096], b"~Module signature appended~\n"] {
            assert_eq!(Module::parse(bytes), Err(Unreadable::NotElf));
        }
        assert!(matches!(Module::parse(b"\x7fELF"), Err(Unreadable::Damaged(_))));
        let header = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 57]].concat();
        assert!(matches!(Module::parse(&header), Err(Unreadable::NotAModule(_))));
    }

    #[test]
    fn a_program_is_no_module() {
        let program = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(Module::parse(&program), Err(Unreadable::NotAModule(_))));
        assert!(matches!(Module::parse(&program[..program.len() / 2]), Err(Unreadable::Damaged(_))));
    }

    #[test]
    fn each_compiler_is_named_once() {
        assert_eq!(compilers(b"\0GCC: 14\0GCC: 14\0rustc version 1.85\0"), ["GCC: 14", "rustc version 1.85"]);
    }
}
