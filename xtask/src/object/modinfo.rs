// SPDX-License-Identifier: GPL-2.0
//! The `.modinfo` section: what a module says of itself (modinfo(8)).

use anyhow::Result;
use camino::Utf8Path;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::failure::Failure;
use crate::kernel::release::Release;

/// The fields of a module's `.modinfo`, and the names of symbols it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modinfo {
    fields: Vec<(String, String)>,
    undefined: Vec<String>,
}

impl Modinfo {
    /// Reads a module's file, not compressed.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        Self::parse(&fs_err::read(file)?).ok_or_else(|| {
            Failure::refused(file.as_str(), "is no kernel module: no ELF file with .modinfo").into()
        })
    }

    /// Reads a module's bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let elf = object::File::parse(bytes).ok()?;
        let section = elf.section_by_name(".modinfo")?;
        let undefined =
            elf.symbols().filter(|symbol| symbol.is_undefined()).filter_map(|symbol| symbol.name().ok());
        let undefined = undefined.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Self { fields: fields(section.data().ok()?), undefined })
    }

    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Symbols that the kernel or other modules must export.
    pub fn undefined(&self) -> &[String] {
        &self.undefined
    }

    /// Refuses a module made for another kernel: vermagic begins with the release.
    pub fn require_vermagic(&self, file: &Utf8Path, release: &Release) -> Result<()> {
        let vermagic = self.get("vermagic").unwrap_or_default();
        if vermagic.split(' ').next() == Some(release.as_str()) {
            return Ok(());
        }
        Err(Failure::refused(
            file.as_str(),
            format!("its vermagic is {vermagic:?}, which kernel {release} refuses"),
        )
        .remedy("build it for that kernel: cargo xtask build --kernel RELEASE")
        .into())
    }
}

/// `name=value` strings, each ended by a zero byte.
fn fields(section: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let strings = section.split(|byte| *byte == 0).map(text);
    strings
        .filter_map(|field| field.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order() {
        let section = b"license=GPL\0\0vermagic=7.2.11 SMP mod_unload \0parm=mode:0=x\0";
        let info = Modinfo { fields: fields(section), undefined: Vec::new() };
        assert_eq!(info.get("parm"), Some("mode:0=x"));
        assert!(info.require_vermagic("x.ko".into(), &"7.2.11".parse().unwrap()).is_ok());
        assert!(info.require_vermagic("x.ko".into(), &"7.2.1".parse().unwrap()).is_err());
    }

    #[test]
    fn other_bytes_are_no_module() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0xff; 4096]] {
            assert_eq!(Modinfo::parse(bytes), None);
        }
    }
}
