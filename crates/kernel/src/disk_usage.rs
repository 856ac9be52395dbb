// SPDX-License-Identifier: GPL-2.0
//! How much of a disk directories take.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;

/// Bytes that `dirs` take on disk, as du(1) counts them: a file with several names once. What
/// cannot be read counts as nothing.
pub fn of<'a>(dirs: impl IntoIterator<Item = &'a Utf8Path>) -> u64 {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for dir in dirs {
        let entries = walkdir::WalkDir::new(dir).into_iter().filter_map(Result::ok);
        for meta in entries.filter_map(|entry| entry.metadata().ok()) {
            if meta.nlink() < 2 || meta.is_dir() || seen.insert((meta.dev(), meta.ino())) {
                bytes += meta.blocks() * BLOCK;
            }
        }
    }
    bytes
}

/// The unit of `st_blocks` (stat(2)), whatever the file system's own is.
const BLOCK: u64 = 512;

/// Bytes of the files in `dir`, as far as they are written: for the progress of what fetches them.
pub(crate) fn bytes_in(dir: &Utf8Path) -> u64 {
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let empty = of([dir]);
        fs_err::write(dir.join("a"), vec![1; 100_000]).unwrap();
        let one = of([dir]);
        assert!(one >= empty + 100_000, "{empty} {one}");
        fs_err::hard_link(dir.join("a"), dir.join("b")).unwrap();
        assert_eq!(of([dir]), one);
        assert_eq!(of([dir.join("nowhere").as_path()]), 0);
    }
}
