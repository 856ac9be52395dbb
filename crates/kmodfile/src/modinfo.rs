// SPDX-License-Identifier: GPL-2.0
//! The `.modinfo` section: what a module says of itself (modinfo(8)).

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::name;
use crate::release::Release;

/// The fields of a module's `.modinfo`, in their order. A name may appear several times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Modinfo(Vec<(String, String)>);

impl Modinfo {
    /// Parses the section's bytes: `name=value` strings, each ended by a zero byte.
    ///
    /// ```
    /// use kmodfile::modinfo::Modinfo;
    ///
    /// let modinfo = Modinfo::parse(b"license=GPL\0depends=netfs,dns-resolver\0");
    /// assert_eq!(modinfo.get("license"), Some("GPL"));
    /// assert_eq!(modinfo.depends(), ["netfs", "dns_resolver"]);
    /// ```
    pub fn parse(section: &[u8]) -> Self {
        let strings = section.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let field = |text: &str| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self(strings.filter_map(|text| field(&text)).collect())
    }

    /// The first field of this name, which is the one that the kernel reads.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every field of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The modules that must be loaded before it, as modpost wrote them into `depends`; named as
    /// loaded modules are, with underscores.
    pub fn depends(&self) -> Vec<String> {
        let names = self.get("depends").unwrap_or_default().split(',');
        names.filter(|name| !name.is_empty()).map(name::loaded).collect()
    }

    /// The modules and algorithms that modprobe(8) loads before it if it can (`softdep` with
    /// `pre:`; modprobe.d(5)).
    pub fn wanted_before(&self) -> Vec<String> {
        let mut wanted = Vec::new();
        for softdep in self.all("softdep") {
            let mut before = false;
            for word in softdep.split_whitespace() {
                match word {
                    "pre:" => before = true,
                    "post:" => before = false,
                    name if before => wanted.push(name::loaded(name)),
                    _ => {}
                }
            }
        }
        wanted
    }

    /// The release of the kernel it was built for: the first word of `vermagic`.
    pub fn release(&self) -> Option<&str> {
        self.get("vermagic")?.split(' ').next()
    }

    /// Makes sure that the module in `file` was built for `release`.
    ///
    /// # Errors
    ///
    /// It was built for another kernel: its `vermagic` begins with another release.
    pub fn require_vermagic(&self, file: &Utf8Path, release: &Release) -> Result<(), WrongVermagic> {
        if self.release() == Some(release.as_str()) {
            return Ok(());
        }
        let vermagic = self.get("vermagic").unwrap_or_default().to_owned();
        Err(WrongVermagic { file: file.to_owned(), vermagic, release: release.clone() })
    }
}

/// A module that was built for another kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongVermagic {
    /// The module's file.
    pub file: Utf8PathBuf,
    /// Its `vermagic`.
    pub vermagic: String,
    /// The kernel that it should be for.
    pub release: Release,
}

impl WrongVermagic {
    /// The reason, without the file.
    pub fn reason(&self) -> String {
        format!("its vermagic is {:?}, which kernel {} refuses", self.vermagic, self.release)
    }
}

impl fmt::Display for WrongVermagic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.reason())
    }
}

impl std::error::Error for WrongVermagic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order() {
        let info = Modinfo::parse(
            b"license=GPL\0\0vermagic=7.2.11 SMP mod_unload \0parm=mode:0=x\0alias=a\0alias=b",
        );
        assert_eq!(info.get("parm"), Some("mode:0=x"));
        assert_eq!(info.all("alias").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((info.release(), info.fields().count()), (Some("7.2.11"), 5));
        assert!(info.require_vermagic("x.ko".into(), &"7.2.11".parse().unwrap()).is_ok());
        let error = info.require_vermagic("x.ko".into(), &"7.2.1".parse().unwrap()).unwrap_err();
        let said = "x.ko: its vermagic is \"7.2.11 SMP mod_unload \", which kernel 7.2.1 refuses";
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn soft_dependencies_are_those_before() {
        let wanted = |section: &[u8]| Modinfo::parse(section).wanted_before();
        assert_eq!(
            wanted(b"softdep=pre: crc32c a-b post: c\0softdep=gcm\0softdep=post: d pre: e\0"),
            ["crc32c", "a_b", "e"]
        );
        assert!(wanted(b"depends=x\0").is_empty());
    }

    #[test]
    fn depends_are_names_of_loaded_modules() {
        let depends = |section: &[u8]| Modinfo::parse(section).depends();
        assert_eq!(depends(b"license=GPL\0depends=netfs,dns-resolver\0name=x\0"), ["netfs", "dns_resolver"]);
        assert!(depends(b"depends=\0retpoline=Y\0").is_empty());
        assert!(depends(b"").is_empty());
        // A name is at the beginning of its string, not anywhere in it.
        assert!(depends(b"description=depends=x\0").is_empty());
    }
}
