// SPDX-License-Identifier: GPL-2.0
//! A module's file in memory: whole, with its compression undone.

use std::{fmt, io};

use camino::{Utf8Path, Utf8PathBuf};

use crate::compression::Compression;
use crate::error::ParseError;
use crate::module::Module;
use crate::packing::Packing;

/// A module's file as it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// Where it is; only for messages.
    pub path: Utf8PathBuf,
    /// Its size in bytes, compressed.
    pub size: u64,
    /// How it is compressed, if it is.
    pub packing: Option<Packing>,
    /// Decompressed: the ELF file and, if there is one, the signature after it.
    pub image: Vec<u8>,
}

impl fmt::Debug for ModuleFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleFile({}, {} bytes, {:?})", self.path, self.size, self.compression())
    }
}

impl ModuleFile {
    /// Takes a file's bytes and decompresses them. As for modprobe(8) and the kernel, the first
    /// bytes say what they are compressed with; the file's name does not matter.
    ///
    /// # Errors
    ///
    /// They cannot be decompressed.
    pub fn of(path: &Utf8Path, bytes: Vec<u8>) -> Result<Self, FileError> {
        let size = bytes.len() as u64;
        let (packing, image) = match Compression::of(&bytes) {
            None => (None, bytes),
            Some(kind) => Packing::unpack(kind, &bytes)
                .map(|(packing, image)| (Some(packing), image))
                .map_err(|error| FileError::new(path, FileProblem::Compressed { kind, error }))?,
        };
        Ok(Self { path: path.to_owned(), size, packing, image })
    }

    /// What it is compressed with.
    pub fn compression(&self) -> Option<Compression> {
        self.packing.as_ref().map(Packing::compression)
    }

    /// Parses what is in it.
    ///
    /// # Errors
    ///
    /// It is not a kernel module, or a damaged one.
    pub fn module(&self) -> Result<Module, FileError> {
        Module::parse(&self.image).map_err(|error| FileError::new(&self.path, FileProblem::Content(error)))
    }
}

/// A file that cannot be read as a kernel module, and why.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: Utf8PathBuf,
    /// What is wrong with it.
    pub problem: FileProblem,
}

/// What is wrong with a file. Its text goes after the name of the file.
#[derive(Debug)]
pub enum FileProblem {
    /// It does not exist.
    NotFound,
    /// It is a directory, a device or the like.
    NotAFile,
    /// It is larger than [`crate::compression::LIMIT`].
    TooLarge,
    /// The system refuses to read it.
    Io(io::Error),
    /// It cannot be decompressed.
    Compressed {
        /// What it is compressed with.
        kind: Compression,
        /// Why not.
        error: io::Error,
    },
    /// It is not a kernel module, or a damaged one.
    Content(ParseError),
}

impl FileError {
    /// A problem with the file at `path`.
    pub(crate) fn new(path: &Utf8Path, problem: FileProblem) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file"),
            Self::NotAFile => f.write_str("is not a regular file"),
            Self::TooLarge => f.write_str("is larger than any module"),
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Compressed { kind, error } => {
                write!(f, "cannot be decompressed ({}): {error}", kind.program())
            }
            Self::Content(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            FileProblem::Io(error) | FileProblem::Compressed { error, .. } => error.source(),
            FileProblem::NotFound
            | FileProblem::NotAFile
            | FileProblem::TooLarge
            | FileProblem::Content(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_it_is_compressed_with() {
        let packed = Compression::Zstd.compress(b"\x7fELF and so on").unwrap();
        let file = ModuleFile::of("x.ko.xz".into(), packed).unwrap();
        assert_eq!(
            (file.compression(), file.image.as_slice()),
            (Some(Compression::Zstd), &b"\x7fELF and so on"[..])
        );
        let plain = ModuleFile::of("x.ko.xz".into(), b"\x7fELF".to_vec()).unwrap();
        assert_eq!((plain.compression(), plain.size), (None, 4));
    }

    #[test]
    fn an_error_names_the_file_and_the_reason() {
        let error = ModuleFile::of("x.ko".into(), b"\xfd7zXZ\0\0".to_vec()).unwrap_err();
        assert!(error.to_string().starts_with("x.ko: cannot be decompressed (xz): "), "{error}");
        let text = ModuleFile::of("x.ko".into(), b"#!/bin/sh\n".to_vec()).unwrap();
        let error = text.module().unwrap_err();
        assert_eq!(error.to_string(), "x.ko: is not a kernel module: not an ELF file");
    }
}
