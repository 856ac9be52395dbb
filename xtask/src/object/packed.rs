// SPDX-License-Identifier: GPL-2.0
//! A module as a kernel's own are installed: complete, then compressed. The last step of a fixed order, as each
//! step would undo what comes after it: [`super::strip`] takes the built file and refuses a signed one, [`super::sign`] takes a
//! file without signature that is not compressed, and of what is packed here nothing leads back.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::compression::Compression;
use super::file::ModuleFile;
use super::replacement::replace;
use crate::failure::Failure;

/// A module's file, compressed or not, as it is to be shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    compression: Option<Compression>,
}

impl Packed {
    /// Compresses a complete module with what [`Compression::of_config`] names; with `None` it stays as it is.
    ///
    /// # Errors
    ///
    /// Refused, if it still has its debug information: `strip` comes first.
    pub fn of(file: &ModuleFile, compression: Option<Compression>) -> Result<Self> {
        if file.module()?.debug_info {
            return Err(Failure::refused(file.path.as_str(), "is not stripped of its debug information")
                .remedy("cargo xtask build strips, keeps the debug information beside, and can --compress")
                .into());
        }
        let bytes = match compression {
            None => file.image.clone(),
            Some(kind) => kind.compress(&file.image).with_context(|| format!("compressing {}", file.path))?,
        };
        Ok(Self { bytes, compression })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's name for a module `name`: `cifs.ko.xz`.
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
