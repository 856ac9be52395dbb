// SPDX-License-Identifier: GPL-2.0
//! The contents of a package.

use std::io::Read as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use kmodfile::compression::{Compression, LIMIT};
use report::failure::Failure;

/// The first bytes of every package (the lead of rpm's format).
const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// Whether `file` begins like a package.
pub fn is_package(file: &Utf8Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    is_file
        && fs_err::File::open(file).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
        && begin == MAGIC
}

/// A package with its payload decompressed.
#[derive(Debug)]
pub struct OpenPackage {
    file: Utf8PathBuf,
    /// The size of its file in bytes.
    pub size: u64,
    package: ::rpm::Package,
}

impl OpenPackage {
    /// Reads a package.
    ///
    /// # Errors
    ///
    /// Refused, if it is damaged or too large.
    pub fn read(file: &Utf8Path) -> Result<Self> {
        let size = fs_err::metadata(file)?.len();
        if size > LIMIT {
            return Err(Failure::refused(file.as_str(), "is too large for a package of modules").into());
        }
        let mut package = ::rpm::Package::parse(&mut fs_err::read(file)?.as_slice())
            .map_err(|error| damaged(file, error))?;
        package.verify_digests().map_err(|error| damaged(file, error))?;
        if let Some(compression) = Compression::of(&package.payload) {
            package.payload =
                compression.decompress(&package.payload).map_err(|error| damaged(file, error))?;
        }
        Ok(Self { file: file.to_owned(), size, package })
    }

    /// Its name, version, release and architecture, as rpm prints them.
    pub fn name(&self) -> Result<String> {
        let nevra = self.package.metadata.get_nevra().map_err(|error| damaged(&self.file, error))?;
        Ok(nevra.nvra())
    }

    /// The number of its signatures.
    pub fn signatures(&self) -> usize {
        self.package.metadata.raw_signatures().map_or(0, |signatures| signatures.len())
    }

    /// The regular files in it whose path is `wanted`, with their contents.
    pub fn files(&self, wanted: impl Fn(&Utf8Path) -> bool) -> Result<Vec<(Utf8PathBuf, Vec<u8>)>> {
        let mut found = Vec::new();
        for file in self.package.files().map_err(|error| damaged(&self.file, error))? {
            let file = file.map_err(|error| damaged(&self.file, error))?;
            let Ok(path) = Utf8PathBuf::try_from(file.metadata.path()) else { continue };
            if file.metadata.file_type() == ::rpm::FileType::Regular && wanted(&path) {
                found.extend(file.into_content().map(|content| (path, content)));
            }
        }
        Ok(found)
    }
}

fn damaged(file: &Utf8Path, error: impl std::fmt::Display) -> Failure {
    Failure::refused(file.as_str(), format!("is not a valid package: {error}"))
        .remedy("build or download it again")
}
