// SPDX-License-Identifier: GPL-2.0
//! The kernel's own source, imported into a project and patched there.
//!
//! A project with an `import.toml` is rebuilt from what the kernel itself was built from: the files that
//! the import names, of exactly the kernel's version, changed by the patch series of the kernel's line. Nothing here
//! knows what is imported or what a patch is for.

pub mod difference;
pub mod edit;
pub mod fetch;
pub mod import;
pub mod in_tree;
pub mod patch;
pub mod series;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Files by their path relative to the root of what they belong to.
pub type SourceTree = BTreeMap<Utf8PathBuf, Vec<u8>>;

/// Why `text` cannot name a file or directory below a root; `None` when it can. Only plain names are taken:
/// what would be special to a shell, to make or to tar is no name of a kernel's file.
pub fn refused_path(text: &str) -> Option<&'static str> {
    let path = Utf8Path::new(text);
    if text.is_empty() {
        return Some("is empty");
    }
    if path.is_absolute() {
        return Some("is absolute");
    }
    if path.components().any(|part| part == Utf8Component::ParentDir) {
        return Some("leads out of the directory (..)");
    }
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+,".contains(c);
        !part.is_empty() && part != "." && !part.starts_with('-') && part.chars().all(allowed)
    };
    (!text.split('/').all(plain))
        .then_some("is no plain path: names of letters, digits and _ - . + between slashes")
}

/// Writes beside `file` and renames in, so that a file there is whole.
fn write_whole(file: &Utf8Path, content: &[u8]) -> Result<()> {
    fs_err::create_dir_all(file.parent().context("a file in a directory")?)?;
    let partial = Utf8PathBuf::from(format!("{file}.{}.partial", std::process::id()));
    fs_err::write(&partial, content)?;
    Ok(fs_err::rename(partial, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_below_a_root_are_taken() {
        for path in ["a", "fs/x/client", "fs/x_y-z.c", ".config", "a+b/c.1"] {
            assert_eq!(refused_path(path), None, "{path}");
        }
        for (path, reason) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("..", "leads out"),
            ("fs/../../etc", "leads out"),
            (".", "no plain path"),
            ("fs//x", "no plain path"),
            ("fs/", "no plain path"),
            ("./fs", "no plain path"),
            ("--directory=x", "no plain path"),
            ("fs/-x", "no plain path"),
            ("fs/a b", "no plain path"),
            ("fs/$(x)", "no plain path"),
            ("fs/*.h", "no plain path"),
            ("fs/a\\b", "no plain path"),
        ] {
            assert!(refused_path(path).is_some_and(|why| why.contains(reason)), "{path}");
        }
    }
}
