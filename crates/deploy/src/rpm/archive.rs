// SPDX-License-Identifier: GPL-2.0
//! A source tree as a reproducible archive, `NAME-VERSION.tar.gz`, whose bytes only depend on its
//! contents and a date.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Result;
use camino::Utf8PathBuf;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use project::source::SourceTree;

/// What goes into an archive.
#[derive(Clone, Debug, Default)]
pub struct ArchiveTree {
    /// Files.
    pub files: SourceTree,
    /// Which of them are executable.
    pub programs: BTreeSet<Utf8PathBuf>,
    /// Symbolic links, with their targets.
    pub links: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

/// A source archive.
#[derive(Clone, Debug)]
pub struct SourceArchive {
    /// Its file name.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl SourceArchive {
    /// Packs `tree` into a directory `name-version`: sorted, owned by root, all files with the time
    /// `date`.
    pub fn pack(name: &str, version: &str, tree: &ArchiveTree, date: u64) -> Result<Self> {
        let directory = format!("{name}-{version}");
        let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
        let mut archive = tar::Builder::new(gzip);
        for (path, content) in &tree.files {
            let mut header = header(if tree.programs.contains(path) { 0o755 } else { 0o644 }, date)?;
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, format!("{directory}/{path}"), content.as_slice())?;
        }
        for (path, target) in &tree.links {
            let mut header = header(0o777, date)?;
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, format!("{directory}/{path}"), target)?;
        }
        let mut gzip = archive.into_inner()?;
        gzip.flush()?;
        Ok(Self { name: format!("{directory}.tar.gz"), content: gzip.finish()? })
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(&self.content).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The header of an entry, owned by root.
fn header(mode: u32, date: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(date);
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn tree(names: &[&str]) -> ArchiveTree {
        let files = names.iter().map(|name| ((*name).into(), name.as_bytes().to_vec())).collect();
        ArchiveTree { files, ..ArchiveTree::default() }
    }

    #[test]
    fn its_bytes_only_depend_on_content_and_date() {
        let pack = |names: &[&str], date| SourceArchive::pack("x", "1", &tree(names), date).unwrap().sha256();
        assert_eq!(pack(&["a", "b"], 7), pack(&["b", "a"], 7));
        assert_ne!(pack(&["a", "b"], 7), pack(&["a", "b"], 8));
        assert_ne!(pack(&["a", "b"], 7), pack(&["a", "c"], 7));
    }

    #[test]
    fn programs_stay_programs_and_links_stay_links() {
        let mut tree = tree(&["configure", "x.c"]);
        tree.programs.insert("configure".into());
        tree.links.insert("sub/y.c".into(), "../x.c".into());
        let packed = SourceArchive::pack("x", "1", &tree, 7).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.content.as_slice()));
        let seen = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let target = entry.link_name().unwrap().map(|target| target.display().to_string());
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), target)
        });
        let seen: Vec<_> = seen.collect();
        assert_eq!(
            seen,
            [
                ("x-1/configure".into(), 0o755, None),
                ("x-1/x.c".into(), 0o644, None),
                ("x-1/sub/y.c".into(), 0o777, Some("../x.c".into())),
            ]
        );
    }

    #[test]
    fn tar_reads_it_back() {
        let long = format!("{}/file.c", "directory".repeat(12));
        let packed = SourceArchive::pack("x", "1", &tree(&["a", &long]), 7).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.content.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            let plain = (header.uid().unwrap(), header.mtime().unwrap(), header.mode().unwrap());
            assert_eq!(plain, (0, 7, 0o644));
            seen.push((entry.path().unwrap().display().to_string(), text));
        }
        assert_eq!(seen, [("x-1/a".into(), "a".into()), (format!("x-1/{long}"), long.clone())]);
    }
}
