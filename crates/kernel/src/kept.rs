// SPDX-License-Identifier: GPL-2.0
//! The files of a build tree that decide what modules become: as they were when the kernel was
//! prepared and proven. Who changes one since has another kernel than the one that was proven.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use report::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};

/// Text that is small and that people edit, and the crate that all else is built on.
const KEPT: &[&str] = &[
    ".config",
    "Makefile",
    "Module.symvers",
    "include/config/auto.conf",
    "include/generated/autoconf.h",
    "include/generated/rustc_cfg",
    "include/generated/utsrelease.h",
    "rust/libkernel.rmeta",
    "scripts/target.json",
];

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Where it is below the build tree.
    path: Utf8PathBuf,
    /// Its size, and when it was last written: as long as both are the same, so is the rest.
    size: u64,
    written: i64,
    /// Hash of what is in it.
    content: String,
}

impl KeptFile {
    /// Those of the build tree `build`.
    pub fn all(build: &Utf8Path) -> Result<Vec<Self>> {
        let there = KEPT.iter().filter(|name| build.join(name).is_file());
        there.map(|name| Self::read(build, name)).collect()
    }

    fn read(build: &Utf8Path, name: &str) -> Result<Self> {
        let file = build.join(name);
        let (size, written) = stamps(&file)?;
        Ok(Self { path: name.into(), size, written, content: content(&file)? })
    }

    /// Whether it has another content now, or is gone.
    pub fn is_changed(&self, build: &Utf8Path) -> bool {
        let file = build.join(&self.path);
        let same = stamps(&file).is_ok_and(|now| now == (self.size, self.written))
            || content(&file).is_ok_and(|now| now == self.content);
        !same
    }

    /// Where it is below the build tree.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Hash of what is in it.
    pub fn content(&self) -> &str {
        &self.content
    }
}

fn stamps(file: &Utf8Path) -> Result<(u64, i64)> {
    let meta = fs_err::metadata(file)?;
    Ok((meta.len(), meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec())))
}

fn content(file: &Utf8Path) -> Result<String> {
    Ok(Fingerprint::new("kept file", 1).bytes("content", &fs_err::read(file)?).hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_otherwise_is_changed_and_what_is_written_again_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let build = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(build.join("include/config")).unwrap();
        for name in [".config", "include/config/auto.conf"] {
            fs_err::write(build.join(name), "CONFIG_SMP=y\n").unwrap();
        }
        let kept = KeptFile::all(build).unwrap();
        let changed =
            || kept.iter().filter(|file| file.is_changed(build)).map(KeptFile::path).collect::<Vec<_>>();
        assert_eq!((kept.len(), changed().len()), (2, 0));
        fs_err::write(build.join(".config"), "CONFIG_SMP=y\n").unwrap();
        assert!(changed().is_empty());
        fs_err::write(build.join(".config"), "CONFIG_SMP=n\n").unwrap();
        assert_eq!(changed(), [".config"]);
        fs_err::remove_file(build.join("include/config/auto.conf")).unwrap();
        assert_eq!(changed().len(), 2);
    }
}
