// SPDX-License-Identifier: GPL-2.0
//! What is known of a module's file once it was read: what is in it and, if that was asked, whether
//! a kernel would load it.

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::compression::Compression;
use crate::file::{FileError, ModuleFile};
use crate::load::answer::Answer;
use crate::load::target::LoadTarget;
use crate::module::Module;
use crate::packing::Packing;

/// A module's file, read and parsed; its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Where it is.
    pub file: Utf8PathBuf,
    /// Its size in bytes, compressed.
    pub size: u64,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// How exactly.
    pub packing: Option<Packing>,
    /// What is in it.
    #[serde(flatten)]
    pub module: Module,
    /// Whether a kernel would load it, if that was asked.
    pub load: Option<Answer>,
}

impl Inspected {
    /// Parses a file.
    ///
    /// # Errors
    ///
    /// It is not a kernel module, or a damaged one.
    pub fn of(file: ModuleFile) -> Result<Self, FileError> {
        let module = file.module()?;
        let compression = file.compression();
        Ok(Self { file: file.path, size: file.size, compression, packing: file.packing, module, load: None })
    }
}

/// Asks of each module whether `target` would load it, with all of the others there as well.
pub fn judge_all<'a>(modules: impl Iterator<Item = &'a mut Inspected>, mut target: LoadTarget) {
    let modules: Vec<&mut Inspected> = modules.collect();
    target.also(modules.iter().map(|inspected| &inspected.module));
    for inspected in modules {
        inspected.load = Some(target.judge_packed(&inspected.module, inspected.packing.as_ref()));
    }
}
