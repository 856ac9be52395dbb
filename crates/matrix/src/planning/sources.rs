// SPDX-License-Identifier: GPL-2.0
//! The hash over all of a project that what is built of it depends on.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use project::Opened;
use project::stage::Sources;
use project::target_dir::CACHE_TAG;
use report::fingerprint::Fingerprint;
use walkdir::WalkDir;

/// Files of a project that are no source and yet say what is built.
const DESCRIBED_BY: [&str; 2] = ["dkms.conf", "import.toml"];

/// The hash over the files of a project: its sources, its patches, and what describes it.
///
/// # Errors
///
/// If one cannot be read.
pub(super) fn hash(opened: &Opened) -> Result<String> {
    match opened {
        Opened::Project(project) => {
            let print = Fingerprint::new("project", 1).text("sources", &Sources::read(project)?.hash());
            let print = DESCRIBED_BY
                .iter()
                .filter_map(|name| Some((name, fs_err::read(project.dir.join(name)).ok()?)))
                .fold(print, |print, (name, text)| print.bytes(name, &text));
            Ok(tree(&project.dir.join("patches"), print)?.hex())
        }
        Opened::Program { dir, .. } => Ok(tree(dir, Fingerprint::new("program", 1))?.hex()),
    }
}

/// The hash over one file.
///
/// # Errors
///
/// If it cannot be read.
pub(super) fn file(path: &Utf8Path) -> Result<String> {
    Ok(Fingerprint::new("file", 1).bytes("content", &fs_err::read(path)?).hex())
}

/// Adds all files below `dir`, by name; none, if it is not there.
fn tree(dir: &Utf8Path, print: Fingerprint) -> Result<Fingerprint> {
    if !dir.exists() {
        return Ok(print);
    }
    let own = |name: &str| !name.starts_with('.');
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter().filter_entry(|entry| {
        let made = entry.file_type().is_dir() && entry.path().join(CACHE_TAG).exists();
        entry.depth() == 0 || (!made && entry.file_name().to_str().is_some_and(own))
    });
    let mut print = print;
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = Utf8PathBuf::try_from(entry.into_path())?;
            let name = path.strip_prefix(dir)?.to_owned();
            print = print.bytes(name.as_str(), &fs_err::read(&path)?);
        }
    }
    Ok(print)
}
