// SPDX-License-Identifier: GPL-2.0
//! A rebuild of one of the kernel's own modules, from the kernel's own source with patches.

use std::fmt::{self, Display};

use crate::in_tree::InTreeModule;
use crate::{Invalid, KernelPath, Licence};

/// What a new repository that fixes a module of the kernel is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    path: KernelPath,
    modules: Vec<InTreeModule>,
    also: Vec<KernelPath>,
    line: Line,
    licence: Licence,
}

/// The beginning of releases that a patch series is for, such as `7.2` or `6.12.107`, or `default`,
/// all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

impl Fix {
    /// A fix of `modules`, which are built in the directory of `path` or of its one file; `also` is
    /// what of the kernel's source they take besides.
    ///
    /// # Errors
    ///
    /// Refused, if there is no module, or a pattern where a file or directory is meant.
    pub fn new(
        path: KernelPath,
        modules: Vec<InTreeModule>,
        also: Vec<KernelPath>,
        line: Line,
        licence: Licence,
    ) -> Result<Self, Invalid> {
        let word = path.to_string();
        if word.contains('*') {
            return Err(Invalid::new(&word, "is a pattern", "give one file that ends in .c, or a directory"));
        }
        if modules.is_empty() {
            let remedy =
                "give the directory whose Makefile has obj-$(CONFIG_…) += NAME.o, or a file of such a NAME";
            return Err(Invalid::new(&word, "no module is built there", remedy));
        }
        let one = path.as_path().file_stem();
        if path.is_file() && (modules.len() != 1 || one != Some(modules[0].name.as_str())) {
            return Err(Invalid::new(
                &word,
                "is not the source of the module by itself",
                "give its directory",
            ));
        }
        Ok(Self { path, modules, also, line, licence })
    }

    /// The file or directory that is rebuilt.
    pub fn path(&self) -> &KernelPath {
        &self.path
    }

    /// What is built of it.
    pub fn modules(&self) -> &[InTreeModule] {
        &self.modules
    }

    /// What it takes of the kernel's source besides.
    pub fn also(&self) -> &[KernelPath] {
        &self.also
    }

    /// What the series is for.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Of its sources.
    pub fn licence(&self) -> &Licence {
        &self.licence
    }
}

impl Line {
    /// Takes a word.
    ///
    /// # Errors
    ///
    /// Refused, if it can neither begin a release nor be the name of a directory.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
        let begins = word.starts_with(|c: char| c.is_ascii_digit()) || word == "default";
        if !begins || !word.chars().all(allowed) || word.contains("..") {
            let remedy = "give the beginning of a release, such as 7.2, or default";
            return Err(Invalid::new(word, "is not the beginning of a release", remedy));
        }
        Ok(Self(word.to_owned()))
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModuleName;

    fn fix(path: &str, modules: &[&str]) -> Result<Fix, Invalid> {
        let module = |name: &&str| InTreeModule { name: ModuleName::parse(name).unwrap(), option: None };
        Fix::new(
            KernelPath::parse(path).unwrap(),
            modules.iter().map(module).collect(),
            Vec::new(),
            Line::parse("7.2").unwrap(),
            Licence::parse("GPL-2.0-only").unwrap(),
        )
    }

    #[test]
    fn a_file_is_one_module_and_a_directory_any_number() {
        assert!(fix("fs/isofs", &["isofs"]).is_ok() && fix("fs/nls", &["nls_base", "nls_utf8"]).is_ok());
        assert!(fix("drivers/net/dummy.c", &["dummy"]).is_ok());
        for (path, modules, reason) in [
            ("fs/isofs", &[][..], "no module"),
            ("fs/nls/*.h", &["nls"][..], "pattern"),
            ("drivers/net/dummy.c", &["tun"][..], "by itself"),
            ("drivers/net/dummy.c", &["dummy", "tun"][..], "by itself"),
        ] {
            assert!(fix(path, modules).unwrap_err().reason.contains(reason), "{path}");
        }
    }

    #[test]
    fn lines_begin_releases() {
        for word in ["7.2", "6.12.107", "7.2.13+deb14-cloud-amd64", "default"] {
            assert_eq!(Line::parse(word).unwrap().to_string(), word);
        }
        for word in ["", "..", "7..2", "../7", "7/2", "7 2", "-7", "v7", "7\n"] {
            assert!(Line::parse(word).is_err(), "{word:?}");
        }
    }
}
