// SPDX-License-Identifier: GPL-2.0
//! A module as a kernel's own are installed: complete, then compressed. The last step of a fixed order, as each step would undo
//! what comes after it, and each step takes only what the one before gives:
//!
//! | | takes | gives |
//! |---|---|---|
//! | [`super::strip`] | the file that was built, BTF in it, without signature | [`super::strip::Stripped`] |
//! | [`super::sign`] | [`super::sign::Unsigned`]: a plain module without signature, not compressed | [`super::sign::Signed`] |
//! | here | [`Complete`]: stripped, not compressed, with a whole signature or none | [`Packed`], from which nothing leads back |

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::replacement::replace;
use kmodfile::compression::Compression;
use kmodfile::file::ModuleFile;
use kmodfile::signature::Trailer;
use report::failure::Failure;

/// A module to which nothing is done any more but compressing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    image: Vec<u8>,
}

impl Complete {
    /// Takes a module's file.
    ///
    /// # Errors
    ///
    /// Refused, if it is compressed already, still has its debug information (`strip` comes first), or ends with a signature that
    /// is none.
    pub fn of(file: ModuleFile) -> Result<Self> {
        let module = file.module()?;
        let refused =
            |reason: String, remedy: &str| Failure::refused(file.path.as_str(), reason).remedy(remedy);
        if file.compression.is_some() {
            return Err(
                refused("is compressed already".to_owned(), "FILE.ko, the module as it was built").into()
            );
        }
        if module.debug_info {
            return Err(refused(
                "is not stripped of its debug information".to_owned(),
                "cargo kmod build strips, keeps the debug information beside, and can --compress",
            )
            .into());
        }
        if let Trailer::Malformed(why) = module.signature {
            return Err(refused(
                format!("ends with a signature that is none: {why}"),
                "sign the module as it was built: cargo kmod sign",
            )
            .into());
        }
        Ok(Self { image: file.image })
    }
}

/// A module's file, compressed or not, as it is to be shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    compression: Option<Compression>,
}

impl Packed {
    /// Compresses a complete module with what [`Compression::of_config`] names; with `None` it stays as it is.
    pub fn of(module: Complete, compression: Option<Compression>) -> Result<Self> {
        let bytes = match compression {
            None => module.image,
            Some(kind) => kind.compress(&module.image).context("compressing a module")?,
        };
        Ok(Self { bytes, compression })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's name for a module `name`: `x.ko.xz`.
    pub fn file_name(&self, name: &str) -> String {
        format!("{name}.ko{}", self.compression.map_or("", Compression::suffix))
    }

    /// Writes it into `dir` as the module `name`, whole or not at all.
    pub fn write(&self, dir: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
        let file = dir.join(self.file_name(name));
        replace(&file, &self.bytes)?;
        Ok(file)
    }
}
