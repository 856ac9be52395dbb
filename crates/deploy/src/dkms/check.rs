// SPDX-License-Identifier: GPL-2.0
//! Checks what dkms has made instead of trusting its exit status: that is 0 even if there are no
//! headers, or if signing failed.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use dkms_conf::objections::{DkmsVersion, Objection};
use serde::Serialize;

use crate::dkms::package::DkmsPackage;
use crate::dkms::place::Place;
use crate::install::modprobe::{self, ModprobeAnswer};
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kmodfile::config::Config;
use kmodfile::file::ModuleFile;
use kmodfile::load::answer::Refusal;
use kmodfile::load::unpacking::KernelUnpacker;
use kmodfile::module::Module;
use kmodfile::name;
use kmodfile::packing::Packing;
use kmodfile::release::Release;
use project::Project;
use report::failure::Failure;

/// A module file that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundModule {
    /// The module's name.
    pub module: String,
    /// Its file.
    pub file: Utf8PathBuf,
    /// Whether it is signed.
    pub signed: bool,
    /// How it is compressed, if it is.
    #[serde(skip)]
    pub packing: Option<Packing>,
}

/// What is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The surroundings.
    pub context: &'a Context,
    /// Where.
    pub place: &'a Place,
    /// The project whose modules are expected.
    pub project: &'a Project,
    /// What DKMS calls it.
    pub package: &'a DkmsPackage,
    /// For which kernel.
    pub release: &'a Release,
}

impl Check<'_> {
    /// Checks that DKMS's own tree has every module, each built for this kernel.
    pub fn built(&self) -> Result<Vec<FoundModule>> {
        self.project.modules.iter().map(|module| self.built_module(&module.installed_name)).collect()
    }

    /// Checks that modprobe(8) finds every module, each the one that was built.
    pub fn installed(&self) -> Result<Vec<FoundModule>> {
        self.project.modules.iter().map(|module| self.installed_module(&module.installed_name)).collect()
    }

    /// Whether all modules of the kernel that would be replaced have the same version as these, as
    /// modules built from the kernel's own source have. DKMS 2.8, and 3 before 3.0.11, then keeps
    /// those of the kernel and reports success.
    pub fn replaces_same_version(&self) -> Result<bool> {
        let mut same = None;
        for module in &self.project.modules {
            let name = &module.installed_name;
            if let (Some(theirs), Some(ours)) = (self.resolve(name)?, self.built_file(name)) {
                let version = |file| -> Result<Option<String>> {
                    Ok(Module::read(file).or_fail()?.modinfo.get("version").map(str::to_owned))
                };
                same = Some(same.unwrap_or(true) && version(&theirs)? == version(&ours)?);
            }
        }
        Ok(same.unwrap_or(false))
    }

    /// The file that is found for each module after it was uninstalled: the kernel's own, or
    /// `None`. Refused, if it is still that of the package.
    pub fn uninstalled(&self) -> Result<Vec<Option<Utf8PathBuf>>> {
        let originals = self.place.originals(&self.package.name, self.release);
        if let Some(left) = module_files(&originals).first() {
            return Err(self.refused(left, "the kernel's own module was not moved back").into());
        }
        let one = |name: &str| -> Result<Option<Utf8PathBuf>> {
            let resolved = self.resolve(name)?;
            let ours = self.built_file(name);
            match (&resolved, ours) {
                (Some(file), Some(ours)) if fs_err::read(file)? == fs_err::read(&ours)? => {
                    Err(self.refused(file, "is still installed, although dkms reported success").into())
                }
                _ => Ok(resolved),
            }
        };
        self.project.modules.iter().map(|module| one(&module.installed_name)).collect()
    }

    fn built_module(&self, name: &str) -> Result<FoundModule> {
        let file = self.built_file(name).ok_or_else(|| {
            let dir = self.place.built(self.package, self.release).join("module");
            self.refused(&dir, &format!("does not contain {name}.ko, although dkms reported success"))
        })?;
        self.found(name, file)
    }

    fn installed_module(&self, name: &str) -> Result<FoundModule> {
        let built = self.built_module(name)?;
        let Some(file) = self.resolve(name)? else {
            return Err(self
                .refused(&self.place.modules(self.release), &format!("modprobe does not find {name} there"))
                .into());
        };
        if fs_err::read(&file)? != fs_err::read(&built.file)? {
            let reason =
                format!("is what modprobe loads for {name}, but not what dkms built ({})", built.file);
            return Err(self.refused(&file, &reason).into());
        }
        self.found(name, file)
    }

    /// Reads a module, and refuses one for another kernel.
    fn found(&self, name: &str, file: Utf8PathBuf) -> Result<FoundModule> {
        let read = ModuleFile::read(&file).or_fail()?;
        let module = read.module().or_fail()?;
        module.modinfo.require_vermagic(&file, self.release).or_fail()?;
        let (module, signed) = (name.to_owned(), module.signature.signature().is_some());
        Ok(FoundModule { module, signed, file, packing: read.packing })
    }

    fn built_file(&self, name: &str) -> Option<Utf8PathBuf> {
        let files = module_files(&self.place.built(self.package, self.release).join("module"));
        files.into_iter().find(|file| module_name(file) == Some(name))
    }

    /// The file that modprobe finds for a module, if any.
    fn resolve(&self, name: &str) -> Result<Option<Utf8PathBuf>> {
        let root = self.place.root().unwrap_or(Utf8Path::new("/"));
        let answer = modprobe::ask(root, root, self.release, name, &self.context.report)?;
        let ModprobeAnswer::File(file) = answer else { return Ok(None) };
        Ok(Some(root.join("lib/modules").join(self.release).join(file)))
    }

    fn refused(&self, object: &Utf8Path, reason: &str) -> Failure {
        Failure::refused(object.as_str(), reason).remedy(format!(
            "see what is known about {}: cargo kmod dkms status; to repair it: cargo kmod dkms install --repair",
            self.package
        ))
    }
}

/// Refuses a `dkms.conf` that this machine's dkms, of `version`, refuses or builds nothing of. What
/// else it makes otherwise of it is said, and what others do where the package may go to them.
pub fn require_acceptable(
    context: &Context,
    project: &Project,
    version: Option<DkmsVersion>,
    reach: Reach,
) -> Result<()> {
    let here = |objection: &Objection| version.is_some_and(|version| objection.applies_to(version));
    for objection in project.objections()? {
        match version {
            Some(version) if objection.refused_by(version) => {
                return Err(refusal(project, &objection, version).into());
            }
            _ if reach == Reach::Anywhere || here(&objection) => context.report.warn(&objection.to_string()),
            _ => {}
        }
    }
    Ok(())
}

/// Which dkms a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine's.
    Here,
    /// Any.
    Anywhere,
}

fn refusal(project: &Project, objection: &Objection, version: DkmsVersion) -> Failure {
    let line = objection.place.as_ref().and_then(|place| place.line);
    let line = line.map_or_else(String::new, |line| format!(":{line}"));
    let reason = format!("{}; this machine has DKMS {version}", objection.without_line());
    Failure::refused(format!("{}{line}", project.dir.join("dkms.conf")), reason)
        .remedy("fix it: dkms(8) describes each directive")
}

/// Refuses unsigned modules for a kernel that only loads signed ones, and warns about them for a
/// kernel that verifies signatures.
pub fn require_signatures(context: &Context, found: &[FoundModule], config: &Config) -> Result<()> {
    let Some(unsigned) = found.iter().find(|found| !found.signed) else { return Ok(()) };
    if config.is_yes("CONFIG_MODULE_SIG_FORCE") {
        let reason = "is not signed, and this kernel only loads signed modules (CONFIG_MODULE_SIG_FORCE)";
        return Err(Failure::refused(unsigned.file.as_str(), reason)
            .remedy("find out why dkms did not sign it: is openssl installed, is mok_signing_key in /etc/dkms/framework.conf correct?")
            .into());
    }
    if config.is_yes("CONFIG_MODULE_SIG") {
        context.report.warn(&format!(
            "{}: dkms did not sign it; a machine with Secure Boot will not load it",
            unsigned.file
        ));
    }
    Ok(())
}

/// Refuses a module that is compressed in a way that the kernel does not take. DKMS before 3.1
/// calls xz without the check that kernels know.
pub fn require_unpackable(found: &[FoundModule], config: &Config) -> Result<(), Failure> {
    let unpacker = KernelUnpacker::of(config);
    for found in found {
        let refusals =
            found.packing.iter().flat_map(|packing| Refusal::of_packing(packing, unpacker.as_ref(), None));
        if let Some(refusal) = refusals.into_iter().next() {
            let reason = format!("dkms compressed it, and the kernel would not load it: {refusal}");
            return Err(Failure::refused(found.file.as_str(), reason).remedy(
                "install dkms 3.1 or newer, or set compress_xz_opts and the like in /etc/dkms/framework.conf",
            ));
        }
    }
    Ok(())
}

/// The modules in a directory, compressed or not.
pub(super) fn module_files(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.into_path()).filter(|path| module_name(path).is_some()).collect()
}

/// The name of the module in a file `NAME.ko`, `NAME.ko.xz` and the like.
pub(super) fn module_name(path: &Utf8Path) -> Option<&str> {
    name::stem(path.file_name()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::packing::PackedUnit;
    use kmodfile::packing::xz::{XzCheck, XzStream};
    use report::failure::exit_of;

    #[test]
    fn modules_are_told_by_their_names() {
        for (file, name) in
            [("a/x.ko", Some("x")), ("x.ko.zst", Some("x")), ("x.ko.xz.origin", None), ("x.o", None)]
        {
            assert_eq!(module_name(Utf8Path::new(file)), name, "{file}");
        }
    }

    #[test]
    fn what_this_dkms_refuses_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION=/extra\nNO_WEAK_MODULES=true\n";
        fs_err::write(dir.join("dkms.conf"), conf).unwrap();
        let project = Project::open(dir).unwrap();
        let cache = report::cache::Cache::at(dir.join("cache")).unwrap();
        let context = Context::new(report::Report::silent(), cache, "".into());
        let require = |version| require_acceptable(&context, &project, version, Reach::Here);
        let error = require(Some(DkmsVersion::new(3, 2, 2))).unwrap_err();
        assert_eq!(exit_of(&error), report::failure::Exit::Refused);
        let said = error.to_string();
        assert!(said.contains("dkms.conf:4: NO_WEAK_MODULES[0] is \"true\", neither yes nor no"), "{said}");
        assert!(said.ends_with("this machine has DKMS 3.2.2"), "{said}");
        // Before, it was no question; and where there is no dkms, none refuses it.
        require(Some(DkmsVersion::new(3, 1, 8))).unwrap();
        require(None).unwrap();
    }

    #[test]
    fn a_kernel_that_requires_signatures_gets_no_unsigned_module() {
        let dir = tempfile::tempdir().unwrap();
        let cache = report::cache::Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        let context = Context::new(report::Report::silent(), cache, "".into());
        let found =
            |signed| [FoundModule { module: "x".into(), file: "/x.ko".into(), signed, packing: None }];
        let force = Config::parse("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n");
        let error = require_signatures(&context, &found(false), &force).unwrap_err();
        assert_eq!(exit_of(&error), report::failure::Exit::Refused);
        require_signatures(&context, &found(true), &force).unwrap();
        require_signatures(&context, &found(false), &Config::parse("CONFIG_MODULE_SIG=y\n")).unwrap();
    }

    #[test]
    fn what_xz_makes_by_itself_is_refused_where_the_kernel_unpacks() {
        let (check, filters) = (XzCheck::Crc64, [vec![]].into());
        let unit = PackedUnit::Xz(XzStream { check, filters, dictionary: 8 << 20 });
        let packing = Some(Packing { unit, continued: false, trailing: 0 });
        let found = [FoundModule { module: "x".into(), file: "/x.ko.xz".into(), signed: false, packing }];
        let config = "CONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_MODULE_DECOMPRESS=y\n";
        let refused = require_unpackable(&found, &Config::parse(config)).unwrap_err();
        assert!(refused.to_string().contains("its check is CRC64"), "{refused}");
        require_unpackable(&found, &Config::parse("CONFIG_MODULE_COMPRESS_XZ=y\n")).unwrap();
    }
}
