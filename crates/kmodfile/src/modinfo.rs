// SPDX-License-Identifier: GPL-2.0
//! The `.modinfo` section: what a module says of itself (modinfo(8)).

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;

use crate::file::ModuleFile;
use crate::release::Release;
use report::failure::Failure;

/// The fields of a module's `.modinfo`, in their order. A name may be there several times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Modinfo(Vec<(String, String)>);

impl Modinfo {
    /// Reads a module's file.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        Ok(ModuleFile::read(file)?.module()?.modinfo)
    }

    /// Reads the bytes of the section: `name=value` strings, each ended by a zero byte.
    pub fn parse(section: &[u8]) -> Self {
        let strings = section.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let field = |text: &str| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self(strings.filter_map(|text| field(&text)).collect())
    }

    /// The first field of this name: of one that is there several times, the kernel reads the first.
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

    /// Modules that must be loaded before it, as modpost wrote them into `depends`; with underscores, as loaded modules are named.
    pub fn depends(&self) -> Vec<String> {
        let names = self.get("depends").unwrap_or_default().split(',');
        names.filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
    }

    /// Modules and algorithms that modprobe(8) loads before it where it can (`softdep` with `pre:`; modprobe.d(5)).
    pub fn wanted_before(&self) -> Vec<String> {
        let mut wanted = Vec::new();
        for softdep in self.all("softdep") {
            let mut before = false;
            for word in softdep.split_whitespace() {
                match word {
                    "pre:" => before = true,
                    "post:" => before = false,
                    name if before => wanted.push(name.replace('-', "_")),
                    _ => {}
                }
            }
        }
        wanted
    }

    /// The release in `vermagic`: its first word.
    pub fn release(&self) -> Option<&str> {
        self.get("vermagic")?.split(' ').next()
    }

    /// Refuses a module made for another kernel: vermagic begins with the release.
    pub fn require_vermagic(&self, file: &Utf8Path, release: &Release) -> Result<()> {
        if self.release() == Some(release.as_str()) {
            return Ok(());
        }
        let vermagic = self.get("vermagic").unwrap_or_default();
        Err(Failure::refused(
            file.as_str(),
            format!("its vermagic is {vermagic:?}, which kernel {release} refuses"),
        )
        .remedy("build it for that kernel: cargo kmod build --kernel RELEASE")
        .into())
    }
}

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
        assert!(info.require_vermagic("x.ko".into(), &"7.2.1".parse().unwrap()).is_err());
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
        assert_eq!(
            depends(b"license=GPL\0depends=netfs,dns-resolver\0name=cifs\0"),
            ["netfs", "dns_resolver"]
        );
        assert!(depends(b"depends=\0retpoline=Y\0").is_empty());
        assert!(depends(b"").is_empty());
        // The name is the beginning of a string, not any place in it.
        assert!(depends(b"description=depends=x\0").is_empty());
    }
}
