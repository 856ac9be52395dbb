// SPDX-License-Identifier: GPL-2.0
//! A module's file: read whole, its compression undone.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::compression::{Compression, LIMIT};
use crate::module::Module;
use report::failure::Failure;

/// A module's file as it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// The ELF file, and behind it the signature, if there is one.
    pub image: Vec<u8>,
}

impl std::fmt::Debug for ModuleFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModuleFile({}, {} bytes, {:?})", self.path, self.size, self.compression)
    }
}

impl ModuleFile {
    /// Reads a `.ko`, or that compressed with xz, zstd or gzip. What it is compressed with, its first bytes say, as for
    /// modprobe(8) and the kernel; its name says nothing.
    ///
    /// # Errors
    ///
    /// Usage, if there is no such file; refused, if it is no plain file, too large, or cannot be decompressed.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let meta = fs_err::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(path.as_str(), "there is no such file").into(),
            _ => anyhow::Error::from(error),
        })?;
        if !meta.is_file() {
            return Err(Failure::refused(path.as_str(), "is no plain file").into());
        }
        if meta.len() > LIMIT {
            return Err(Failure::refused(path.as_str(), "is larger than any module").into());
        }
        Self::of(path, fs_err::read(path)?)
    }

    /// Takes a file's bytes.
    ///
    /// # Errors
    ///
    /// Refused, if they cannot be decompressed.
    pub fn of(path: &Utf8Path, bytes: Vec<u8>) -> Result<Self> {
        let size = bytes.len() as u64;
        let compression = Compression::of(&bytes);
        let image = match compression {
            None => bytes,
            Some(kind) => kind.decompress(&bytes).map_err(|error| {
                Failure::refused(path.as_str(), format!("cannot be decompressed ({kind:?}): {error}"))
                    .remedy("it is truncated or damaged: build it, or fetch its package, again")
            })?,
        };
        Ok(Self { path: path.to_owned(), size, compression, image })
    }

    /// What is in it.
    ///
    /// # Errors
    ///
    /// Refused, if it is no kernel module, or a damaged one.
    pub fn module(&self) -> Result<Module> {
        Module::parse(&self.image).map_err(|error| {
            let failure = Failure::refused(self.path.as_str(), error.to_string());
            match error.remedy() {
                Some(remedy) => failure.remedy(remedy).into(),
                None => failure.into(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::{Exit, exit_of};

    #[test]
    fn the_first_bytes_say_what_it_is_compressed_with() {
        let packed = Compression::Zstd.compress(b"\x7fELF and so on").unwrap();
        let file = ModuleFile::of("x.ko.xz".into(), packed).unwrap();
        assert_eq!(
            (file.compression, file.image.as_slice()),
            (Some(Compression::Zstd), &b"\x7fELF and so on"[..])
        );
        let plain = ModuleFile::of("x.ko.xz".into(), b"\x7fELF".to_vec()).unwrap();
        assert_eq!((plain.compression, plain.size), (None, 4));
    }

    #[test]
    fn what_cannot_be_a_module_is_refused() {
        for (path, status) in
            [("/nonexistent.ko", Exit::Usage), ("/dev/zero", Exit::Refused), ("/", Exit::Refused)]
        {
            assert_eq!(exit_of(&ModuleFile::read(path.into()).unwrap_err()), status, "{path}");
        }
        let error = ModuleFile::of("x.ko".into(), b"\xfd7zXZ\0\0".to_vec()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
    }
}
