// SPDX-License-Identifier: GPL-2.0
//! Reads the SPDX documents that [`super::sbom`] writes, for people.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde_json::Value;

use crate::rpm::target::KmodTarget;
use kmodfile::release::Release;
use report::failure::Failure;

/// The suffix of a document's file name.
pub const SUFFIX: &str = ".spdx.json";

/// What a package was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The document: a file, or a path in a package.
    pub document: String,
    /// Name and version of what is packaged.
    pub of: String,
    /// When its source was last changed, `2026-11-22T00:00:00Z`.
    pub date: String,
    /// The kernel: its origin and its release.
    pub kernel: String,
    /// The compilers.
    pub tools: Vec<String>,
    /// What was proven about the kernel tree that it was built against.
    pub proof: Vec<String>,
    /// The source files.
    pub sources: Vec<HashedFile>,
    /// The patches applied to them.
    pub patches: Vec<HashedFile>,
}

/// A file and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HashedFile {
    /// Its path.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Provenance {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Refused, if it is not an SPDX document of a kmod package.
    pub fn parse(document: &str, text: &[u8]) -> Result<Self> {
        let refused = |reason: String| Failure::refused(document, reason);
        let spdx: Value =
            serde_json::from_slice(text).map_err(|error| refused(format!("is not JSON: {error}")))?;
        let version = spdx["spdxVersion"].as_str().unwrap_or_default();
        if !version.starts_with("SPDX-2.") {
            return Err(refused("is not an SPDX 2 document".to_owned()).into());
        }
        let packages: Vec<(&str, String)> = list(&spdx["packages"]).map(package).collect();
        let called = |id: &str| packages.iter().find(|(name, _)| *name == id).map(|(_, text)| text.clone());
        let missing = |what: &str| refused(format!("does not describe a kmod package: it names no {what}"));
        let of = called("SPDXRef-kmod").ok_or_else(|| missing("package"))?;
        let kernel = called("SPDXRef-kernel").ok_or_else(|| missing("kernel"))?;
        let is_tool = |id: &str| !["SPDXRef-kmod", "SPDXRef-kernel"].contains(&id);
        let tools = packages.iter().filter(|(id, _)| is_tool(id)).map(|(_, text)| text.clone()).collect();
        let comment = |annotation: &Value| text_of(&annotation["comment"]);
        let (patches, sources) =
            list(&spdx["files"]).map(source).partition(|source| source.file.ends_with(".patch"));
        Ok(Self {
            document: document.to_owned(),
            of,
            date: text_of(&spdx["creationInfo"]["created"]),
            kernel,
            tools,
            proof: list(&spdx["annotations"]).map(comment).collect(),
            sources,
            patches,
        })
    }

    /// The document that the package of an installed module has installed, if it exists: for a
    /// module below `ROOT/lib/modules/RELEASE/extra/NAME/` it is below
    /// `ROOT/usr/share/doc/kmod-NAME-VARIANT/`.
    pub fn document_of(module: &Utf8Path) -> Option<Utf8PathBuf> {
        let module = camino::absolute_utf8(module).ok()?;
        let directory = module.parent()?;
        let (extra, modules) = (directory.parent()?, directory.ancestors().nth(3)?);
        if extra.file_name()? != "extra" || modules.file_name()? != "modules" {
            return None;
        }
        let release: Release = extra.parent()?.file_name()?.parse().ok()?;
        let package = format!("kmod-{}{}", directory.file_name()?, KmodTarget::of(&release).suffix());
        let lib = modules.parent()?;
        let root = lib.parent()?.as_str().trim_end_matches("/usr");
        let root = if root.is_empty() { "/" } else { root };
        let document =
            Utf8PathBuf::from(root).join("usr/share/doc").join(&package).join(format!("{package}{SUFFIX}"));
        document.is_file().then_some(document)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Its identifier, and its name with its version.
fn package(value: &Value) -> (&str, String) {
    let id = value["SPDXID"].as_str().unwrap_or_default();
    (id, format!("{} {}", text_of(&value["name"]), text_of(&value["versionInfo"])).trim().to_owned())
}

fn source(value: &Value) -> HashedFile {
    let file = text_of(&value["fileName"]);
    let sha256 = list(&value["checksums"]).find(|sum| sum["algorithm"] == "SHA256");
    HashedFile {
        file: file.strip_prefix("./").unwrap_or(&file).to_owned(),
        sha256: sha256.map(|sum| text_of(&sum["checksumValue"])).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"spdxVersion": "SPDX-2.3",
        "creationInfo": {"created": "2026-11-22T00:00:00Z"},
        "packages": [
            {"SPDXID": "SPDXRef-kmod", "name": "kmod-x", "versionInfo": "1"},
            {"SPDXID": "SPDXRef-kernel", "name": "linux (sid)", "versionInfo": "7.3"},
            {"SPDXID": "SPDXRef-cc", "name": "gcc", "versionInfo": "16"}],
        "files": [
            {"fileName": "./x.c", "checksums": [{"algorithm": "SHA1", "checksumValue": "0"},
                                                {"algorithm": "SHA256", "checksumValue": "1"}]},
            {"fileName": "./patches/7/a.patch"}],
        "annotations": [{"comment": "proven"}]}"#;

    #[test]
    fn a_document_is_read() {
        let read = Provenance::parse("d", DOCUMENT.as_bytes()).unwrap();
        assert_eq!((read.of.as_str(), read.kernel.as_str()), ("kmod-x 1", "linux (sid) 7.3"));
        assert_eq!((read.tools, read.proof), (vec!["gcc 16".to_owned()], vec!["proven".to_owned()]));
        assert_eq!(read.sources, [HashedFile { file: "x.c".into(), sha256: "1".into() }]);
        assert_eq!(read.patches, [HashedFile { file: "patches/7/a.patch".into(), sha256: String::new() }]);
    }

    #[test]
    fn other_documents_are_refused() {
        for (from, to, named) in [
            ("SPDX-2.3", "SPDX-3.0", "not an SPDX 2"),
            ("SPDXRef-kernel", "SPDXRef-other", "no kernel"),
            ("{\"spdx", "spdx", "not JSON"),
        ] {
            let error =
                Provenance::parse("d", DOCUMENT.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn the_document_of_an_installed_module_is_that_of_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let document = root.join("usr/share/doc/kmod-x-rt-amd64/kmod-x-rt-amd64.spdx.json");
        fs_err::create_dir_all(document.parent().unwrap()).unwrap();
        fs_err::write(&document, "").unwrap();
        for (module, found) in [
            ("lib/modules/7.3.4+deb13-rt-amd64/extra/x/x.ko", true),
            ("usr/lib/modules/7.3.4+deb13-rt-amd64/extra/x/x.ko", true),
            ("lib/modules/7.3.4+deb13-amd64/extra/x/x.ko", false),
            ("lib/modules/7.3.4+deb13-rt-amd64/kernel/x/x.ko", false),
            ("x.ko", false),
        ] {
            assert_eq!(
                Provenance::document_of(&root.join(module)),
                found.then(|| document.clone()),
                "{module}"
            );
        }
    }
}
