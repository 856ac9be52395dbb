// SPDX-License-Identifier: GPL-2.0
//! What a package is made from, as an SPDX document (SPDX 2.3, JSON): every source file and patch
//! with its hash, the kernel, the compilers, and what was proven about the kernel's tree.

use anyhow::Result;
use serde_json::{Value, json};
use time::{OffsetDateTime, PrimitiveDateTime};

use sha1::{Digest as _, Sha1};

use crate::rpm::ready::Ready;
use crate::rpm::spec::KmodSpec;
use project::Project;
use project::source::SourceTree;
use project::source::series::Series;
use report::durable::digest;

/// What the document is made from.
#[derive(Debug)]
pub struct Sbom<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its spec.
    pub spec: &'a KmodSpec,
    /// The files of the source package, patched.
    pub source: &'a SourceTree,
    /// The kernel.
    pub ready: &'a Ready,
    /// Seconds since 1970.
    pub date: u64,
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sbom<'_> {
    /// The document. The same inputs give the same text.
    pub fn text(&self) -> Result<String> {
        let files = self.files()?;
        let packages = self.packages()?;
        let name = format!("kmod-{}{}-{}", self.spec.name, self.ready.target.suffix(), self.spec.version);
        let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-kmod")];
        let id = |value: &Value| value["SPDXID"].as_str().unwrap_or_default().to_owned();
        relations.extend(files.iter().map(|file| relation(&id(file), "GENERATES", "SPDXRef-kmod")));
        relations.extend(packages.iter().skip(1).map(|package| match id(package).as_str() {
            "SPDXRef-kernel" => relation("SPDXRef-kmod", "DEPENDS_ON", "SPDXRef-kernel"),
            tool => relation(tool, "BUILD_TOOL_OF", "SPDXRef-kmod"),
        }));
        let inputs = digest(serde_json::to_string(&(&files, &packages))?.as_bytes());
        let document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": name,
            "documentNamespace": format!("urn:sha256:{inputs}"),
            "creationInfo": {
                "created": timestamp(self.date),
                "creators": [format!("Tool: cargo-kmod-{}", env!("CARGO_PKG_VERSION"))],
            },
            "packages": packages,
            "files": files,
            "relationships": relations,
            "annotations": [self.proof()],
        });
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// First what is packaged, then the kernel, then the compilers.
    fn packages(&self) -> Result<Vec<Value>> {
        let stamp = self.ready.prepared.kdir.stamp();
        let config = self.ready.prepared.kdir.config()?;
        let mut packages = vec![
            package(
                "kmod",
                &format!("kmod-{}{}", self.spec.name, self.ready.target.suffix()),
                &self.spec.version,
            ),
            package("kernel", &format!("linux ({})", stamp.origin.name()), stamp.release.as_str()),
        ];
        let tools = [("cc", "CONFIG_CC_VERSION_TEXT"), ("rustc", "CONFIG_RUSTC_VERSION_TEXT")];
        for (id, option) in tools {
            if let Some(text) = config.get(option).filter(|text| !text.is_empty()) {
                let (name, version) = text.split_once(' ').unwrap_or((text, ""));
                packages.push(package(id, name, version));
            }
        }
        Ok(packages)
    }

    /// The source files as they are built, then the patches applied to them.
    fn files(&self) -> Result<Vec<Value>> {
        let entry = |(number, (path, content)): (usize, (String, &[u8]))| {
            json!({
                "SPDXID": format!("SPDXRef-file-{number}"),
                "fileName": format!("./{path}"),
                "checksums": [
                    { "algorithm": "SHA256", "checksumValue": digest(content) },
                    { "algorithm": "SHA1", "checksumValue": hexadecimal(&Sha1::digest(content)) },
                ],
            })
        };
        let patches = self.patches()?;
        let source = self.source.iter().map(|(path, content)| (path.to_string(), content.as_slice()));
        let patches = patches.iter().map(|(path, content)| (path.clone(), content.as_slice()));
        Ok(source.chain(patches).enumerate().map(entry).collect())
    }

    fn patches(&self) -> Result<Vec<(String, Vec<u8>)>> {
        if self.project.import.is_none() {
            return Ok(Vec::new());
        }
        let Some(series) = Series::open(&self.project.dir, &self.ready.target.release)? else {
            return Ok(Vec::new());
        };
        let read = |name: &str| {
            let file = series.file(name);
            let shown = file.strip_prefix(&self.project.dir).unwrap_or(&file).to_string();
            Ok((shown, fs_err::read(&file)?))
        };
        series.names().map(read).collect()
    }

    fn proof(&self) -> Value {
        let stamp = self.ready.prepared.kdir.stamp();
        let text = match stamp.rust_symbols {
            0 => "the kernel has no Rust: nothing about its tree had to be proven".to_owned(),
            count => format!(
                "each of the {count} Rust symbols that {} exports is exported, name for name, by the tree used for the build",
                stamp.release
            ),
        };
        json!({
            "annotationType": "OTHER",
            "annotator": format!("Tool: cargo-kmod-{}", env!("CARGO_PKG_VERSION")),
            "annotationDate": timestamp(self.date),
            "comment": format!("{text}; inputs of the tree: {}", stamp.inputs),
        })
    }
}

fn package(id: &str, name: &str, version: &str) -> Value {
    json!({
        "SPDXID": format!("SPDXRef-{id}"),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Seconds since 1970 as a time of SPDX: `2026-11-22T00:00:00Z`. A time that no calendar holds is
/// the last that one does.
fn timestamp(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let time = time.unwrap_or_else(|| PrimitiveDateTime::MAX.assume_utc());
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_spdx_requires() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_795_305_600, "2026-11-22T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }
}
