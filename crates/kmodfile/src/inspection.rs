// SPDX-License-Identifier: GPL-2.0
//! Many modules, read at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::compression::Compression;
use crate::file::ModuleFile;
use crate::load::answer::Answer;
use crate::load::target::Target;
use crate::module::Module;

/// A module's file, read; its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Where it is.
    pub file: Utf8PathBuf,
    /// Its size in bytes, as it is there.
    pub size: u64,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// What is in it.
    #[serde(flatten)]
    pub module: Module,
    /// Whether a kernel would load it, where one was asked about.
    pub load: Option<Answer>,
}

impl Inspected {
    /// Reads one file.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        Self::of(ModuleFile::read(path)?)
    }

    /// Reads what is in a file.
    pub fn of(file: ModuleFile) -> Result<Self> {
        let module = file.module()?;
        Ok(Self { file: file.path, size: file.size, compression: file.compression, module, load: None })
    }
}

/// The files of all modules below `dir`, in the order of their names.
pub fn modules_in(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("looking for modules in {dir}"))?;
        if entry.file_type().is_file() && entry.file_name().to_str().is_some_and(is_module_name) {
            files.push(Utf8PathBuf::try_from(entry.into_path()).context("a module's path is no UTF-8")?);
        }
    }
    Ok(files)
}

/// What a module's file ends with.
const ENDS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];

/// Whether a file of this name is a module's, compressed or not.
pub fn is_module_name(name: &str) -> bool {
    ENDS.iter().any(|end| name.ends_with(end))
}

/// Reads all `files`, `jobs` of them at a time. One that cannot be read does not stop the others.
pub fn read_all(files: &[Utf8PathBuf], jobs: usize) -> Vec<Result<Inspected>> {
    let next = AtomicUsize::new(0);
    let read = Mutex::new(Vec::with_capacity(files.len()));
    let work = || {
        while let Some((index, file)) = take(files, &next) {
            let inspected = Inspected::read(file);
            read.lock().expect("nothing panics while it is held").push((index, inspected));
        }
    };
    thread::scope(|scope| {
        (1..jobs.min(files.len())).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut read = read.into_inner().expect("nothing panics while it is held");
    read.sort_unstable_by_key(|(index, _)| *index);
    read.into_iter().map(|(_, inspected)| inspected).collect()
}

fn take<'a>(files: &'a [Utf8PathBuf], next: &AtomicUsize) -> Option<(usize, &'a Utf8Path)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, files.get(index)?))
}

/// Asks of each module whether `target` would load it, together with the others.
pub fn judge_all<'a>(modules: impl Iterator<Item = &'a mut Inspected>, mut target: Target) {
    let modules: Vec<&mut Inspected> = modules.collect();
    target.also(modules.iter().map(|inspected| &inspected.module));
    for inspected in modules {
        inspected.load = Some(target.judge(&inspected.module));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_answer_in_its_place() {
        let files: Vec<Utf8PathBuf> = (0..20).map(|n| format!("/nonexistent/{n}.ko").into()).collect();
        for jobs in [0, 1, 3, 40] {
            let read = read_all(&files, jobs);
            assert_eq!(read.len(), files.len());
            for (file, read) in files.iter().zip(read) {
                assert!(read.unwrap_err().to_string().starts_with(file.as_str()));
            }
        }
        assert!(read_all(&[], 2).is_empty());
    }
}
