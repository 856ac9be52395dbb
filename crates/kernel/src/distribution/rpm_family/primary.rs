// SPDX-License-Identifier: GPL-2.0
//! The index of a repository of RPMs, `primary.xml`, as createrepo_c(8) writes it.

use anyhow::{Context as _, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::{Deserialize, Serialize};

use crate::distribution::package::Package;

/// What a package says that supplies what builds modules of one kernel: `kernel-devel` of Fedora.
const DEVEL: &str = "kernel-devel-uname-r";

/// The same of what holds the image of one.
const IMAGE: &str = "kernel-uname-r";

/// A package of a repository, with what tells which kernel it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedPackage {
    /// The package; its version is epoch, version and release, without an epoch of 0.
    pub package: Package,
    /// What `uname -r` prints on the kernel that it has the headers of, if it says so.
    pub headers_of: Option<String>,
    /// The same of the kernel whose image it has.
    pub image_of: Option<String>,
    /// The file of the source package that it was built from; none of a source package.
    pub source: Option<String>,
}

impl IndexedPackage {
    /// The name of its file.
    pub fn file_name(&self) -> &str {
        file_name(&self.package)
    }
}

/// The name of a package's file.
pub fn file_name(package: &Package) -> &str {
    package.uri.rsplit('/').next().unwrap_or(&package.uri)
}

/// Reads the index of the repository `id`; keeps the packages whose name `wanted` says yes to.
///
/// # Errors
///
/// It is not well-formed, or a package lacks what every one has.
pub fn read(xml: &str, id: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<IndexedPackage>> {
    let mut reader = Reader::from_str(xml);
    let mut packages = Vec::new();
    let mut entry: Option<Entry> = None;
    loop {
        match reader.read_event().with_context(|| format!("reading the index of {id}"))? {
            Event::Start(element) if element.local_name().as_ref() == b"package" => {
                entry = Some(Entry::default());
            }
            Event::End(element) if element.local_name().as_ref() == b"package" => {
                let whole = entry.take().unwrap_or_default();
                if wanted(&whole.name) {
                    packages.push(whole.package(id)?);
                }
            }
            Event::Eof => return Ok(packages),
            event => {
                if let Some(entry) = &mut entry {
                    entry.take(&event)?;
                }
            }
        }
    }
}

/// A package as far as it is read.
#[derive(Debug, Default)]
struct Entry {
    /// The element whose text comes next, and whether that is a digest by SHA-256.
    text_of: Vec<u8>,
    sha256: bool,
    name: String,
    architecture: String,
    version: String,
    checksum: String,
    size: u64,
    location: String,
    source: String,
    /// Inside of what it provides.
    provides: bool,
    headers_of: Option<String>,
    image_of: Option<String>,
}

impl Entry {
    fn take(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Start(element) => {
                self.text_of = element.local_name().as_ref().to_vec();
                self.element(element)?;
            }
            Event::Empty(element) => self.element(element)?,
            Event::End(element) => {
                self.text_of.clear();
                if element.local_name().as_ref() == b"provides" {
                    self.provides = false;
                }
            }
            Event::Text(text) => self.text(text.decode()?.trim()),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let field = match self.text_of.as_slice() {
            b"name" => &mut self.name,
            b"arch" => &mut self.architecture,
            b"checksum" if self.sha256 => &mut self.checksum,
            b"sourcerpm" => &mut self.source,
            _ => return,
        };
        field.push_str(text);
    }

    fn element(&mut self, element: &BytesStart<'_>) -> Result<()> {
        match element.local_name().as_ref() {
            b"version" => self.version = evr(element)?,
            b"checksum" => self.sha256 = attribute(element, "type")?.as_deref() == Some("sha256"),
            b"size" => self.size = attribute(element, "package")?.unwrap_or_default().parse()?,
            b"location" => self.location = attribute(element, "href")?.unwrap_or_default(),
            b"provides" => self.provides = true,
            b"entry" if self.provides => self.provided(element)?,
            _ => {}
        }
        Ok(())
    }

    fn provided(&mut self, element: &BytesStart<'_>) -> Result<()> {
        let name = attribute(element, "name")?.unwrap_or_default();
        let field = match name.as_str() {
            DEVEL => &mut self.headers_of,
            IMAGE => &mut self.image_of,
            _ => return Ok(()),
        };
        *field = Some(evr(element)?);
        Ok(())
    }

    fn package(self, id: &str) -> Result<IndexedPackage> {
        let lacks = [("name", &self.name), ("version", &self.version), ("location", &self.location)];
        if let Some((what, _)) = lacks.iter().find(|(_, value)| value.is_empty()) {
            anyhow::bail!("the index of {id} has a package without {what}: {:?}", self.name);
        }
        Ok(IndexedPackage {
            package: Package {
                name: self.name,
                version: self.version,
                suite: id.to_owned(),
                architecture: self.architecture,
                depends: Vec::new(),
                size: self.size,
                sha256: self.checksum,
                uri: self.location,
            },
            headers_of: self.headers_of,
            image_of: self.image_of,
            // createrepo_c writes so what a package does not say.
            source: Some(self.source).filter(|source| !matches!(source.as_str(), "" | "(none)")),
        })
    }
}

/// Epoch, version and release as attributes; an epoch of 0 is not written.
fn evr(element: &BytesStart<'_>) -> Result<String> {
    let of = |name| Ok::<_, anyhow::Error>(attribute(element, name)?.unwrap_or_default());
    let (epoch, version, release) = (of("epoch")?, of("ver")?, of("rel")?);
    let epoch = if matches!(epoch.as_str(), "" | "0") { String::new() } else { format!("{epoch}:") };
    let release = if release.is_empty() { release } else { format!("-{release}") };
    Ok(format!("{epoch}{version}{release}"))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    let Some(attribute) = element.try_get_attribute(name)? else { return Ok(None) };
    let text = std::str::from_utf8(&attribute.value)?;
    Ok(Some(quick_xml::escape::unescape(text)?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::rpm_family::samples::{entry, index};

    #[test]
    fn a_package_says_which_kernel_it_is_of() {
        let release = "6.17.1-300.fc43.x86_64";
        let text = index(&[
            entry("kernel-devel", "6.17.1", "300.fc43", "x86_64", &[(DEVEL, release)]),
            entry("kernel-core", "6.17.1", "300.fc43", "x86_64", &[(IMAGE, release)]),
            entry("bash", "5", "1", "x86_64", &[]),
        ]);
        let read = read(&text, "updates", |name| name.starts_with("kernel")).unwrap();
        let [devel, core] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(devel.package.version, "6.17.1-300.fc43");
        assert_eq!((devel.headers_of.as_deref(), devel.image_of.as_deref()), (Some(release), None));
        assert_eq!(core.image_of.as_deref(), Some(release));
        assert_eq!(core.source.as_deref(), Some("kernel-6.17.1-300.fc43.src.rpm"));
        assert_eq!((core.package.size, core.package.suite.as_str()), (12, "updates"));
        assert_eq!(core.package.sha256, "kernel-core6.17.1300.fc43");
        assert_eq!(core.file_name(), "kernel-core-6.17.1-300.fc43.x86_64.rpm");
    }

    #[test]
    fn a_package_without_a_source_has_none() {
        let text = index(&[entry("kernel-devel", "6", "1", "x86_64", &[])]);
        for said in ["", "(none)"] {
            let text = text.replace("kernel-6-1.src.rpm", said);
            assert_eq!(read(&text, "r", |_| true).unwrap()[0].source, None, "{said}");
        }
    }

    #[test]
    fn an_index_that_is_cut_off_or_lacks_something_is_refused() {
        let whole = index(&[entry("kernel-devel", "6", "1", "x86_64", &[])]);
        assert!(read(&whole.replace("<location href", "<location x"), "r", |_| true).is_err());
        assert!(read(&whole.replace("</name>", "</nam>"), "r", |_| true).is_err());
    }
}
