// SPDX-License-Identifier: GPL-2.0
//! Where the modules of one build go: below one directory, by their names alone, whatever the
//! directories are that make left them in and that they are to be installed into.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::strip;
use dkms_conf::directives::ModuleDirectives;
use kmodfile::compression::Compression;
use kmodfile::name;
use report::failure::Failure;

/// The names that modules have taken so far. No two get the same one, so that nothing that is
/// written as one module's overwrites another's: there is no other maker of [`ModuleFiles`].
#[derive(Debug)]
pub(crate) struct Outputs {
    place: Utf8PathBuf,
    dir: Utf8PathBuf,
    /// By the name that modprobe(8) knows a module by, what make built for it.
    taken: BTreeMap<String, Utf8PathBuf>,
}

/// The files of one module.
#[derive(Debug)]
pub(crate) struct ModuleFiles {
    /// The module, ready to be shipped.
    pub(crate) file: Utf8PathBuf,
    /// Its debug information.
    pub(crate) debug: Utf8PathBuf,
    /// The module while it is not yet signed, elsewhere: what is ready is never unsigned where it
    /// should be signed.
    pub(crate) unsigned: Utf8PathBuf,
}

impl Outputs {
    /// Makes the directory for what is ready, in that of the build.
    pub(crate) fn below(place: &Utf8Path) -> Result<Self> {
        let dir = place.join("out");
        fs_err::create_dir_all(&dir)?;
        Ok(Self { place: place.to_owned(), dir, taken: BTreeMap::new() })
    }

    /// The files of `module`. What an earlier build has left there is removed: nothing of it may
    /// stand beside what is made now.
    ///
    /// # Errors
    ///
    /// Refused, if another module has the name; dash and underscore are one.
    pub(crate) fn of(&mut self, module: &ModuleDirectives) -> Result<ModuleFiles> {
        let name = &module.installed_name;
        let built = module.location.join(format!("{}.ko", module.name));
        if let Some(other) = self.taken.insert(name::loaded(name), built.clone()) {
            let reason = format!("is the name of {other} and of {built}: one would overwrite the other");
            return Err(Failure::refused(format!("module {name}"), reason)
                .remedy("give each a DEST_MODULE_NAME of its own in dkms.conf; cargo kmod dkms conf writes one to begin with")
                .into());
        }
        let file = self.dir.join(format!("{name}.ko"));
        let files = ModuleFiles {
            debug: strip::debug_of(&file),
            unsigned: self.place.join(format!("{name}.ko.stripped")),
            file,
        };
        files.remove()?;
        Ok(files)
    }
}

impl ModuleFiles {
    fn remove(&self) -> Result<()> {
        let packed =
            Compression::ALL.map(|kind| Utf8PathBuf::from(format!("{}{}", self.file, kind.suffix())));
        for old in packed.iter().chain([&self.file, &self.debug, &self.unsigned]) {
            match fs_err::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(location: &str, name: &str, installed: &str) -> ModuleDirectives {
        let plain = ModuleDirectives::plain(name.to_owned(), location.into());
        ModuleDirectives { installed_name: installed.to_owned(), ..plain }
    }

    #[test]
    fn each_name_is_given_to_one_module() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::below(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        outputs.of(&module("a", "x", "x-y")).unwrap();
        // The name that the first was built under is free.
        outputs.of(&module("b", "x", "x")).unwrap();
        for (location, name, installed) in [("b", "x", "x"), ("", "x_y", "x_y"), ("c", "z", "x-y")] {
            let error = outputs.of(&module(location, name, installed)).unwrap_err();
            assert!(error.to_string().contains("one would overwrite the other"), "{error}");
        }
    }

    #[test]
    fn what_an_earlier_build_has_left_of_the_name_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::below(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        for name in ["x.ko", "x.ko.xz", "x.ko.debug", "y.ko"] {
            fs_err::write(outputs.dir.join(name), "").unwrap();
        }
        outputs.of(&module("", "x", "x")).unwrap();
        let left = outputs.dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned());
        assert_eq!(left.collect::<Vec<_>>(), ["y.ko"]);
    }
}
