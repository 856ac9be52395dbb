// SPDX-License-Identifier: GPL-2.0
//! Where in a kernel's source its options are defined (Documentation/kbuild/kconfig-language.rst).

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use kmodfile::architecture::Architecture;

/// Where the options of a kernel are defined.
#[derive(Clone, Debug, Default)]
pub struct Definitions(BTreeMap<String, Definition>);

#[derive(Clone, Debug)]
struct Definition {
    /// Relative to the source.
    directory: Utf8PathBuf,
    /// Whether it can be set or not, rather than have a number or a text.
    switch: bool,
}

impl Definitions {
    /// Reads the `Kconfig` files of a source tree, of `arch/` those of one architecture.
    pub fn read(source: &Utf8Path, architecture: Architecture) -> Result<Self> {
        let ours = Utf8Path::new("arch").join(architecture.source());
        let below_another = |path: &Utf8Path| {
            path.starts_with("arch") && path != "arch" && path != "arch/Kconfig" && !path.starts_with(&ours)
        };
        let mut definitions = Self::default();
        let relative = |path: &std::path::Path| {
            Utf8Path::from_path(path).and_then(|path| path.strip_prefix(source).ok()).map(Utf8Path::to_owned)
        };
        let walk = WalkDir::new(source).sort_by_file_name().into_iter();
        let walk =
            walk.filter_entry(|entry| relative(entry.path()).is_some_and(|path| !below_another(&path)));
        for entry in walk {
            let entry = entry?;
            let Some(path) = relative(entry.path()).filter(|_| entry.file_type().is_file()) else { continue };
            if path.file_name().is_some_and(|name| name.starts_with("Kconfig")) {
                let text = fs_err::read(source.join(&path))?;
                definitions.add(path.parent().unwrap_or(Utf8Path::new("")), &String::from_utf8_lossy(&text));
            }
        }
        Ok(definitions)
    }

    /// Adds the options that a file in `directory` defines. An option that is defined in several
    /// places counts where it was first.
    pub(super) fn add(&mut self, directory: &Utf8Path, text: &str) {
        for (option, switch) in defined(text) {
            let definition = || Definition { directory: directory.to_owned(), switch };
            self.0.entry(option.to_owned()).or_insert_with(definition).switch |= switch;
        }
    }

    /// The directory in which an option is defined; the name is without `CONFIG_`.
    pub fn directory(&self, option: &str) -> Option<&Utf8Path> {
        self.0.get(option).map(|definition| definition.directory.as_path())
    }

    /// All options that can be set or not.
    pub fn switches(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, definition)| definition.switch).map(|(option, _)| option.as_str())
    }

    /// Whether the kernel has such an option.
    pub fn knows(&self, option: &str) -> bool {
        self.0.contains_key(option)
    }
}

/// The options that a `Kconfig` file defines, and whether each can be set or not.
fn defined(text: &str) -> Vec<(&str, bool)> {
    let mut all: Vec<(&str, bool)> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), all.last_mut()) {
            (Some("config" | "menuconfig"), _) => all.extend(words.next().map(|option| (option, false))),
            (Some("bool" | "tristate" | "def_bool" | "def_tristate"), Some((_, switch))) => *switch = true,
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_where_they_are_defined_first() {
        let mut definitions = Definitions::default();
        definitions.add(
            Utf8Path::new("lib"),
            "config A\n\tbool \"a\"\n\tselect B\n\tdefault config\nmenuconfig C\n\ttristate\nif C\n  config D\n\tint\n# config E\n",
        );
        definitions.add(Utf8Path::new("mm"), "config A\n");
        let known = |option| definitions.directory(option).map(Utf8Path::as_str);
        assert_eq!(["A", "B", "C", "D", "E"].map(known), [Some("lib"), None, Some("lib"), Some("lib"), None]);
        assert_eq!(definitions.switches().collect::<Vec<_>>(), ["A", "C"]);
    }

    #[test]
    fn of_other_architectures_nothing_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let source = Utf8Path::from_path(dir.path()).unwrap();
        for (directory, option) in
            [("arch", "ALL"), ("arch/x86/kvm", "X86"), ("arch/arm64", "ARM"), ("net", "NET")]
        {
            fs_err::create_dir_all(source.join(directory)).unwrap();
            fs_err::write(source.join(directory).join("Kconfig"), format!("config {option}\n")).unwrap();
        }
        let definitions = Definitions::read(source, Architecture::Amd64).unwrap();
        assert_eq!(
            ["ALL", "X86", "ARM", "NET"].map(|option| definitions.knows(option)),
            [true, true, false, true]
        );
        assert_eq!(definitions.directory("X86").unwrap(), "arch/x86/kvm");
    }
}
