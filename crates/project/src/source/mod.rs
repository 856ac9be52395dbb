// SPDX-License-Identifier: GPL-2.0
//! Kernel source that is imported into a project and patched there.
//!
//! A project with an `import.toml` is built from the source that the kernel itself was built from:
//! the files named in the import, of exactly the kernel's version, changed by the patch series of
//! the kernel's line. Nothing here depends on what is imported or what a patch is for.

pub mod difference;
pub mod edit;
pub mod fetch;
pub mod import;
pub mod in_tree;
pub mod patch;
pub mod series;

use std::collections::BTreeMap;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// Files by their path below a common root.
pub type SourceTree = BTreeMap<Utf8PathBuf, Vec<u8>>;

/// Why `text` is not accepted as the path of a file or directory below a root; `None` if it is.
/// Only plain names are accepted: no file of the kernel has characters in its name that are special
/// to a shell, make or tar.
pub fn refused_path(text: &str) -> Option<&'static str> {
    let path = Utf8Path::new(text);
    if text.is_empty() {
        return Some("is empty");
    }
    if path.is_absolute() {
        return Some("is absolute");
    }
    if path.components().any(|part| part == Utf8Component::ParentDir) {
        return Some("leads outside the directory (..)");
    }
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.+,".contains(c);
        !part.is_empty() && part != "." && !part.starts_with('-') && part.chars().all(allowed)
    };
    (!text.split('/').all(plain))
        .then_some("is not a plain path: only letters, digits and _ - . + , between slashes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_below_a_root_are_accepted() {
        for path in ["a", "fs/x/client", "fs/x_y-z.c", ".config", "a+b/c.1"] {
            assert_eq!(refused_path(path), None, "{path}");
        }
        for (path, reason) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("..", "leads outside"),
            ("fs/../../etc", "leads outside"),
            (".", "not a plain path"),
            ("fs//x", "not a plain path"),
            ("fs/", "not a plain path"),
            ("./fs", "not a plain path"),
            ("--directory=x", "not a plain path"),
            ("fs/-x", "not a plain path"),
            ("fs/a b", "not a plain path"),
            ("fs/$(x)", "not a plain path"),
            ("fs/*.h", "not a plain path"),
            ("fs/a\\b", "not a plain path"),
        ] {
            assert!(refused_path(path).is_some_and(|why| why.contains(reason)), "{path}");
        }
    }
}
