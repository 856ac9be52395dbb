// SPDX-License-Identifier: GPL-2.0
//! A module in the form in which the kernel's own are installed: complete, then compressed. This is
//! the last step of a fixed order: each step would undo a later one, and only accepts the result of
//! the one before:
//!
//! | | takes | gives |
//! |---|---|---|
//! | [`strip`](super::strip) | the file that was built, with BTF, unsigned | `Stripped` |
//! | [`sign`](super::sign) | `Unsigned`: a plain module, unsigned | `Signed` |
//! | here | [`Complete`]: stripped, not compressed, signed or not | [`Packed`]: final |

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use kernel::failures::OrFail as _;
use kmodfile::compression::Compression;
use kmodfile::file::ModuleFile;
use kmodfile::signature::Trailer;
use report::durable;
use report::failure::Failure;

/// A module that is finished except for compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    image: Vec<u8>,
}

impl Complete {
    /// Takes a module's file.
    ///
    /// # Errors
    ///
    /// Refused, if it is compressed already, still has its debug information (`strip` comes first),
    /// or has an invalid signature.
    pub fn of(file: ModuleFile) -> Result<Self> {
        let module = file.module().or_fail()?;
        let refused =
            |reason: String, remedy: &str| Failure::refused(file.path.as_str(), reason).remedy(remedy);
        if file.packing.is_some() {
            return Err(refused(
                "is compressed already".to_owned(),
                "give FILE.ko, the module as it was built",
            )
            .into());
        }
        if module.debug_info {
            return Err(refused(
                "still contains its debug information".to_owned(),
                "use cargo kmod build, which strips it, keeps the debug information in a file, and can --compress",
            )
            .into());
        }
        if let Trailer::Malformed(why) = module.signature {
            return Err(refused(
                format!("has an invalid signature: {why}"),
                "sign the module as it was built: cargo kmod sign",
            )
            .into());
        }
        Ok(Self { image: file.image })
    }
}

/// A module's file as it is shipped, compressed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    compression: Option<Compression>,
}

impl Packed {
    /// Compresses a complete module as chosen by [`Compression::of_config`]; with `None` it is left
    /// as it is.
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

    /// Writes it into `dir` as the module `name`, completely or not at all.
    pub fn write(&self, dir: &Utf8Path, name: &str) -> Result<Utf8PathBuf> {
        let file = dir.join(self.file_name(name));
        durable::replace(&file, &self.bytes)?;
        Ok(file)
    }
}
