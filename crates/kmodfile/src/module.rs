// SPDX-License-Identifier: GPL-2.0
//! What is in a module: the ELF file of a `.ko`, parsed.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;

use crate::error::ParseError;
use crate::exports::{self, Export};
use crate::foreign::Foreign;
use crate::modinfo::Modinfo;
use crate::name;
use crate::signature::{self, Trailer};
use crate::versions::{self, Versions};

/// A module, parsed: what it says of itself, needs, offers, and is signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Module {
    /// What it says of itself.
    pub modinfo: Modinfo,
    /// The architecture it is for, `x86_64`; with `-be` for the big-endian one of two.
    pub architecture: String,
    /// The symbols that the kernel or other modules must export.
    pub imports: Vec<Import>,
    /// CRCs of the imports.
    pub versions: Versions,
    /// The symbols that it exports.
    pub exports: Vec<Export>,
    /// What follows the ELF file.
    pub signature: Trailer,
    /// Type information.
    pub btf: Btf,
    /// Whether Rust is in it: its symbols say so, or the compilers that it names.
    pub rust: bool,
    /// The compilers that built it, each once.
    pub compilers: Vec<String>,
    /// The linker's hash of what is loaded (`NT_GNU_BUILD_ID`), in hexadecimal digits.
    pub build_id: Option<String>,
    /// Whether it has debug information, that is, was not stripped.
    pub debug_info: bool,
    /// Whether it has a symbol table, without which no kernel loads it.
    pub symbols: bool,
    /// The size of the `struct module` in it, which must be that of the kernel's own.
    pub struct_module: u64,
}

/// A symbol that a module needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name.
    pub symbol: String,
    /// Whether the module can do without it.
    pub weak: bool,
}

/// Type information for BPF (Documentation/bpf/btf.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Btf {
    /// None.
    #[default]
    None,
    /// Numbered after the types of exactly the kernel that the module was built for (`.BTF`).
    Split,
    /// With a copy of the types it refers to (`.BTF.base`), so that a kernel can renumber it when
    /// it loads the module.
    Distilled,
}

/// The section that holds the kernel's `struct module`.
const THIS_MODULE: &str = ".gnu.linkonce.this_module";

impl Module {
    /// Parses a module's bytes, already decompressed: the ELF file and, if there is one, the
    /// signature after it.
    ///
    /// # Errors
    ///
    /// The bytes are not a kernel module, or a damaged one.
    pub fn parse(image: &[u8]) -> Result<Self, ParseError> {
        let (bytes, signature) = signature::split(image);
        if !bytes.starts_with(b"\x7fELF") {
            return Err(Foreign::of(bytes).map_or(ParseError::NotElf, ParseError::Foreign));
        }
        let elf = object::File::parse(bytes).map_err(|error| ParseError::Damaged(error.to_string()))?;
        require_whole(&elf)?;
        if elf.kind() != object::ObjectKind::Relocatable {
            return Err(ParseError::NotAModule("it is not relocatable"));
        }
        let modinfo = data(&elf, ".modinfo")?.ok_or(ParseError::NotAModule("it has no .modinfo"))?;
        let this_module =
            elf.section_by_name(THIS_MODULE).ok_or(ParseError::NotAModule("it has no struct module"))?;
        let compilers = compilers(data(&elf, ".comment")?.unwrap_or_default());
        Ok(Self {
            modinfo: Modinfo::parse(modinfo),
            architecture: architecture(&elf),
            imports: imports(&elf)?,
            versions: read_versions(&elf)?,
            exports: exports::read(&elf)?,
            signature,
            btf: btf(&elf),
            rust: compilers.iter().any(|compiler| compiler.starts_with("rustc ")) || has_rust_symbol(&elf),
            compilers,
            build_id: elf.build_id().ok().flatten().map(hex::encode),
            debug_info: elf.section_by_name(".debug_info").is_some(),
            symbols: elf.symbol_table().is_some(),
            struct_module: this_module.size(),
        })
    }

    /// Its name, as `/proc/modules` shows it.
    pub fn name(&self) -> Option<String> {
        Some(name::loaded(self.modinfo.get("name")?))
    }
}

/// Every section's bytes are in the file, as the kernel requires.
fn require_whole(elf: &object::File<'_>) -> Result<(), ParseError> {
    for section in elf.sections() {
        if section.data().is_err() {
            let name = section.name().unwrap_or("without a name");
            return Err(ParseError::Damaged(format!("section {name} reaches beyond the end of the file")));
        }
    }
    Ok(())
}

fn data<'a>(elf: &object::File<'a>, name: &'static str) -> Result<Option<&'a [u8]>, ParseError> {
    let section = elf.section_by_name(name).map(|section| section.data());
    section.transpose().map_err(|error| ParseError::Damaged(format!("section {name}: {error}")))
}

fn architecture(elf: &object::File<'_>) -> String {
    let name = format!("{:?}", elf.architecture()).to_lowercase();
    if elf.is_little_endian() { name } else { format!("{name}-be") }
}

fn imports(elf: &object::File<'_>) -> Result<Vec<Import>, ParseError> {
    let mut imports = Vec::new();
    for symbol in elf.symbols().filter(|symbol| symbol.is_undefined()) {
        let name = symbol.name_bytes();
        let name = name.map_err(|error| ParseError::Damaged(format!("the symbol table: {error}")))?;
        if !name.is_empty() {
            imports
                .push(Import { symbol: String::from_utf8_lossy(name).into_owned(), weak: symbol.is_weak() });
        }
    }
    Ok(imports)
}

fn read_versions(elf: &object::File<'_>) -> Result<Versions, ParseError> {
    let damaged = || ParseError::Damaged("its symbol versions are not a table".to_owned());
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

/// Whether a symbol, of its own or imported, has a name as rustc makes them for kernels
/// (`-Csymbol-mangling-version=v0`). The symbols are there whatever a packager strips: no kernel
/// loads a module without them, while `.comment` is dropped by rpm's strip, for one.
fn has_rust_symbol(elf: &object::File<'_>) -> bool {
    elf.symbols().filter_map(|symbol| symbol.name().ok()).any(is_rust)
}

fn is_rust(symbol: &str) -> bool {
    symbol.starts_with("_R") && rustc_demangle::try_demangle(symbol).is_ok()
}

/// The strings of `.comment`, each once: a compiler leaves one for each file that it compiled.
fn compilers(comment: &[u8]) -> Vec<String> {
    let mut compilers: Vec<String> = Vec::new();
    for text in comment.split(|byte| *byte == 0).filter(|text| !text.is_empty()) {
        if !compilers.iter().any(|known| known.as_bytes() == text) {
            compilers.push(String::from_utf8_lossy(text).into_owned());
        }
    }
    compilers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_not_a_module() {
        for bytes in [&b""[..], b"#!/bin/sh\n", &[0xff; 4096], b"~Module signature appended~\n"] {
            assert_eq!(Module::parse(bytes), Err(ParseError::NotElf));
        }
        assert!(matches!(Module::parse(b"\x7fELF"), Err(ParseError::Damaged(_))));
        let header = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 57]].concat();
        assert!(matches!(Module::parse(&header), Err(ParseError::NotAModule(_))));
    }

    #[test]
    fn a_program_is_not_a_module() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(Module::parse(&program), Err(ParseError::NotAModule(_))));
        assert!(matches!(Module::parse(&program[..program.len() / 2]), Err(ParseError::Damaged(_))));
    }

    #[test]
    fn symbols_show_rust() {
        for (symbol, rust) in [
            ("_RNvXsa_NtCsdJ13ReMSUMg_6kernel12module_paramiNtB5_11ModuleParam18try_from_param_arg", true),
            ("_RINvNtCsbZfwWpAStWS_4core9panicking13assert_failedjjEB4_", true),
            ("_RNvNtCsbZfwWpAStWS_4core9panicking9panic_fmt", true),
            ("_READ_ONCE", false),
            ("_R", false),
            ("_RNvC", false),
            ("_RCC_config", false),
            ("init_module", false),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", false),
        ] {
            assert_eq!(is_rust(symbol), rust, "{symbol}");
        }
    }

    #[test]
    fn each_compiler_is_named_once() {
        assert_eq!(compilers(b"\0GCC: 14\0GCC: 14\0rustc version 1.85\0"), ["GCC: 14", "rustc version 1.85"]);
    }
}
