// SPDX-License-Identifier: GPL-2.0
//! Finds modules in a `/lib/modules/RELEASE` tree, and what each needs loaded before it.
//!
//! `modules.dep` is not asked: a tree unpacked from a package has none, and depmod(8) would have to
//! be there to make one. Every module says itself what it depends on (`depends=` in `.modinfo`,
//! written by modpost), so only the modules that are needed are ever unpacked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use kernel::failures::OrFail as _;
use kmodfile::architecture::Architecture;
use kmodfile::file::ModuleFile;
use kmodfile::modinfo::Modinfo;
use kmodfile::name;
use report::failure::Failure;

/// A module, uncompressed, as it goes into the initramfs.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestModule {
    /// Its name as `/proc/modules` shows it: underscores, no dashes.
    pub name: String,
    /// The bytes that are inserted: the ELF file, and its signature if it has one.
    pub image: Vec<u8>,
    /// What it says of itself, and so what it depends on.
    pub modinfo: Modinfo,
}

impl std::fmt::Debug for GuestModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GuestModule({}, {} bytes)", self.name, self.image.len())
    }
}

impl GuestModule {
    /// Reads a module file; `.ko`, or that compressed with xz, zstd or gzip.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let name = name::of_file(path.file_name().unwrap_or_default())
            .ok_or_else(|| Failure::refused(path.as_str(), "is not named like a module (NAME.ko)"))?;
        let file = ModuleFile::read(path).or_fail()?;
        let modinfo = file.module().or_fail()?.modinfo;
        Ok(Self { name, image: file.image, modinfo })
    }

    /// Bytes that are inserted as they are, module or not; nothing is inserted before them.
    pub fn of_bytes(name: &str, image: Vec<u8>) -> Self {
        Self { name: name.to_owned(), image, modinfo: Modinfo::default() }
    }

    /// The name of its file in the initramfs.
    pub fn file(&self) -> String {
        format!("{}.ko", self.name)
    }
}

/// The modules of one kernel.
#[derive(Clone, Debug)]
pub struct ModuleTree {
    architecture: Architecture,
    dir: Utf8PathBuf,
    files: BTreeMap<String, Utf8PathBuf>,
    builtin: BTreeSet<String>,
}

impl ModuleTree {
    /// Looks through `dir`, the directory of one release for `architecture`.
    ///
    /// # Errors
    ///
    /// Missing, if there is no module in it.
    pub fn open(architecture: Architecture, dir: &Utf8Path) -> Result<Self> {
        let mut files: BTreeMap<String, Utf8PathBuf> = BTreeMap::new();
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry.with_context(|| format!("looking for modules in {dir}"))?;
            let path = Utf8PathBuf::try_from(entry.into_path()).context("a module's path is no UTF-8")?;
            let Some(name) = path.file_name().and_then(name::of_file) else { continue };
            let relative = path.strip_prefix(dir).expect("the walk stays below its root");
            let rank = precedence(relative);
            if files.get(&name).is_none_or(|other| precedence(other) > rank) {
                files.insert(name, relative.to_owned());
            }
        }
        if files.is_empty() {
            return Err(Failure::missing(dir.as_str(), "holds no kernel modules").into());
        }
        let builtin = fs_err::read_to_string(dir.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(|line| name::of_file(line.rsplit('/').next()?)).collect();
        Ok(Self { architecture, dir: dir.to_owned(), files, builtin })
    }

    /// What its modules are for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Whether the kernel has `name` built in.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&name::loaded(name))
    }

    /// Whether there is a module `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(&name::loaded(name))
    }

    /// The module `name`.
    pub fn module(&self, name: &str) -> Result<GuestModule> {
        let file = self.files.get(&name::loaded(name)).ok_or_else(|| {
            Failure::missing(format!("module {name}"), format!("is neither in {} nor built in", self.dir))
        })?;
        GuestModule::read(&self.dir.join(file))
    }

    /// The modules `names` and all that they depend on, each after what it needs, and after what
    /// modprobe(8) would load before it. What the kernel has built in is left out.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<GuestModule>> {
        let mut order = Vec::new();
        let mut path = Vec::new();
        for name in names {
            self.visit(&name::loaded(name), &mut path, &mut order)?;
        }
        Ok(order)
    }

    /// The module that a soft dependency means: by its name or, for the name of an algorithm, that
    /// with the kernel's generic implementation. Modprobe would find any by its aliases.
    fn known(&self, name: &str) -> Option<String> {
        [name.to_owned(), format!("{name}_generic")].into_iter().find(|name| self.contains(name))
    }

    fn visit(&self, name: &str, path: &mut Vec<String>, order: &mut Vec<GuestModule>) -> Result<()> {
        if self.is_builtin(name) || order.iter().any(|module| module.name == name) {
            return Ok(());
        }
        if path.iter().any(|above| above == name) {
            let circle = format!("{} -> {name}", path.join(" -> "));
            return Err(
                Failure::refused(format!("module {name}"), format!("depends on itself: {circle}")).into()
            );
        }
        let module = self.module(name)?;
        path.push(name.to_owned());
        for needed in module.modinfo.depends() {
            self.visit(&needed, path, order)?;
        }
        for wanted in module.modinfo.wanted_before().iter().filter_map(|name| self.known(name)) {
            if !path.contains(&wanted) {
                self.visit(&wanted, path, order)?;
            }
        }
        path.pop();
        order.push(module);
        Ok(())
    }
}

/// `modules` in an order in which each comes after those of them that it depends on, and else as
/// they were.
///
/// # Errors
///
/// Refused, if they depend on each other in a circle.
pub fn in_order(modules: Vec<GuestModule>) -> Result<Vec<GuestModule>> {
    let depends: Vec<Vec<String>> = modules.iter().map(|module| module.modinfo.depends()).collect();
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let order = order(&names, &depends).map_err(|circle| {
        let names: Vec<&str> = circle.into_iter().map(|at| names[at]).collect();
        Failure::refused(names.join(", "), "depend on each other in a circle")
    })?;
    Ok(order.into_iter().map(|at| modules[at].clone()).collect())
}

/// Positions in `names`, each after those of what it depends on; or those that cannot come after
/// each other.
fn order(names: &[&str], depends: &[Vec<String>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = (0..names.len()).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let waits =
            |at: usize| waiting.iter().any(|other| depends[at].iter().any(|name| name == names[*other]));
        let Some(next) = waiting.iter().position(|at| !waits(*at)) else { return Err(waiting) };
        order.push(waiting.remove(next));
    }
    Ok(order)
}

/// The order in which depmod(8) searches by default (depmod.d(5): `search updates built-in`), with
/// `extra`, which distributions put between them.
fn precedence(relative: &Utf8Path) -> u8 {
    match relative.components().next().map(|first| first.as_str()) {
        Some("updates") => 0,
        Some("extra") => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_before_extra_before_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for file in ["kernel/fs/nfs.ko.xz", "extra/nfs.ko", "updates/dkms/nfs.ko.zst", "kernel/a-b.ko"] {
            fs_err::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
            fs_err::write(dir.join(file), "").unwrap();
        }
        fs_err::write(dir.join("modules.builtin"), "kernel/drivers/virtio/virtio-pci.ko\n").unwrap();
        let tree = ModuleTree::open(Architecture::Arm64, dir).unwrap();
        assert_eq!(tree.files["nfs"], "updates/dkms/nfs.ko.zst");
        assert!(tree.contains("a_b") && tree.contains("a-b") && tree.is_builtin("virtio_pci"));
        assert!(tree.closure(&["virtio_pci"]).unwrap().is_empty());
        assert!(tree.closure(&["nowhere"]).is_err());
    }
}
