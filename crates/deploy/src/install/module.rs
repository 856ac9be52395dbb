// SPDX-License-Identifier: GPL-2.0
//! The file of a module that is to be installed, or that was found.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use kernel::failures::OrFail as _;
use kmodfile::file::ModuleFile;
use kmodfile::module::Module;
use kmodfile::name;
use kmodfile::packing::Packing;
use kmodfile::release::Release;
use report::failure::Failure;

/// What distinguishes one build of a module from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `MODULE_VERSION`, which most modules lack.
    pub version: Option<String>,
    /// The hash over its sources, computed by modpost.
    pub srcversion: Option<String>,
    /// The linker's hash over its contents, in hexadecimal.
    pub build_id: Option<String>,
}

/// A module's file, by whose name modprobe finds it.
#[derive(Clone, Debug)]
pub struct NamedModule {
    /// The file.
    pub path: Utf8PathBuf,
    /// The module's name: that of the file, with underscores instead of dashes.
    pub name: String,
    /// What is in it.
    pub module: Module,
    /// How it is compressed, if it is.
    pub packing: Option<Packing>,
}

impl NamedModule {
    /// Reads a file, which may be compressed.
    ///
    /// # Errors
    ///
    /// Refused, if it is not a module, or not named like one.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let name = path.file_name().and_then(name::of_file).ok_or_else(|| {
            Failure::refused(path.as_str(), "is not named like a module")
                .remedy("name it NAME.ko, or NAME.ko.xz, .zst or .gz: modprobe finds a module by the name of its file")
        })?;
        let file = ModuleFile::read(path).or_fail()?;
        let module = file.module().or_fail()?;
        Ok(Self { path: path.to_owned(), name, module, packing: file.packing })
    }

    /// Its file's name, with the ending of its compression.
    pub fn file_name(&self) -> &str {
        self.path.file_name().expect("a file that was read has a name")
    }

    /// What distinguishes it from another build.
    pub fn identity(&self) -> Identity {
        let field = |name: &str| self.module.modinfo.get(name).map(str::to_owned);
        Identity {
            version: field("version"),
            srcversion: field("srcversion"),
            build_id: self.module.build_id.clone(),
        }
    }

    /// The kernel that it says it was built for.
    pub fn release(&self) -> Result<Release> {
        let release = self.module.modinfo.release().unwrap_or_default();
        release.parse().map_err(|_| {
            Failure::refused(
                self.path.as_str(),
                format!("its vermagic does not begin with a kernel release, but with {release:?}"),
            )
            .remedy("give the kernel: --kernel RELEASE")
            .into()
        })
    }
}

impl std::fmt::Display for Identity {
    /// The shortest that identifies the build: the source version, otherwise the build ID.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = self.version.iter().map(|version| format!("version {version}"));
        let srcversion = self.srcversion.iter().map(|srcversion| format!("srcversion {srcversion}"));
        let build_id = self.build_id.iter().map(|id| format!("build-id {}", &id[..id.len().min(12)]));
        let words: Vec<String> = version.chain(srcversion.chain(build_id).take(1)).collect();
        f.write_str(&if words.is_empty() { "an unidentified build".to_owned() } else { words.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_identified_by_few_words() {
        let identity = |version: &str, srcversion: &str, build_id: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Identity { version: some(version), srcversion: some(srcversion), build_id: some(build_id) }
        };
        assert_eq!(identity("2.5", "AB", "00112233445566778899").to_string(), "version 2.5, srcversion AB");
        assert_eq!(identity("", "", "00112233445566778899").to_string(), "build-id 001122334455");
        assert_eq!(identity("", "", "").to_string(), "an unidentified build");
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for (name, bytes) in
            [("x.ko", &b"#!/bin/sh\n"[..]), ("x.ko.xz", b"no xz"), ("x.txt", b""), ("y.ko", b"\x7fELF")]
        {
            fs_err::write(dir.join(name), bytes).unwrap();
            let error = NamedModule::read(&dir.join(name)).unwrap_err();
            assert_eq!(report::failure::exit_of(&error), report::failure::Exit::Refused, "{name}: {error:#}");
        }
    }
}
