// SPDX-License-Identifier: GPL-2.0
//! The types of a kernel and of its modules: their BTF, read when it is asked for.

use std::collections::HashMap;

use btf_rs::Btf;
use camino::Utf8Path;
use kernel::kdir::Kdir;
use kmodfile::file::ModuleFile;
use object::{Object as _, ObjectSection as _};

use super::declaration::Declaration;

/// What exports the kernel's own symbols, as `Module.symvers` has it.
const VMLINUX: &str = "vmlinux";

/// The types of a kernel.
pub(super) struct KernelTypes {
    kdir: Kdir,
    base: Btf,
    /// Those of its modules, by name; none where a module has none.
    modules: HashMap<String, Option<Btf>>,
}

impl KernelTypes {
    /// Those of a prepared kernel.
    ///
    /// # Errors
    ///
    /// In a line, why they are not known.
    pub(super) fn open(kdir: Kdir) -> Result<Self, String> {
        let file = kdir.build().join("vmlinux");
        let bytes = fs_err::read(&file).map_err(|_| "its headers have no vmlinux".to_owned())?;
        let section = btf_of(&bytes).ok_or_else(|| format!("{file} has no BTF"))?;
        let base = Btf::from_bytes(&section).map_err(|error| format!("the BTF of {file}: {error}"))?;
        Ok(Self { kdir, base, modules: HashMap::new() })
    }

    /// A function as its exporter has it, which is named as in `Module.symvers`.
    pub(super) fn declaration(&mut self, function: &str, exporter: &str) -> Option<Declaration> {
        if exporter == VMLINUX {
            return Declaration::of(&self.base, function);
        }
        let name = Utf8Path::new(exporter).file_name()?;
        if !self.modules.contains_key(name) {
            let read = read(&self.kdir, name, &self.base);
            self.modules.insert(name.to_owned(), read);
        }
        Declaration::of(self.modules.get(name)?.as_ref()?, function)
    }
}

/// The types of one of the kernel's own modules, which go on where the kernel's end.
fn read(kdir: &Kdir, name: &str, base: &Btf) -> Option<Btf> {
    let file = kdir.stock_module(name).ok()?;
    let module = ModuleFile::read(&file).ok()?;
    Btf::from_split_bytes(&btf_of(&module.image)?, base).ok()
}

/// The bytes of the section `.BTF`.
fn btf_of(elf: &[u8]) -> Option<Vec<u8>> {
    let elf = object::File::parse(elf).ok()?;
    let section = elf.section_by_name(".BTF")?.data().ok()?;
    (!section.is_empty()).then(|| section.to_vec())
}
