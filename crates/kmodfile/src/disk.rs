// SPDX-License-Identifier: GPL-2.0
//! Reads modules from disk. Nothing else in this crate touches a file.

use std::fs;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};

use crate::compression::LIMIT;
use crate::file::{FileError, FileProblem, ModuleFile};
use crate::inspection::Inspected;
use crate::module::Module;
use crate::name;

impl ModuleFile {
    /// Reads a `.ko`, plain or compressed with xz, zstd or gzip.
    ///
    /// # Errors
    ///
    /// There is no such file, it cannot be read, is not a regular file, is too large, or cannot be
    /// decompressed.
    pub fn read(path: &Utf8Path) -> Result<Self, FileError> {
        let failed = |problem| FileError::new(path, problem);
        let meta = fs::metadata(path).map_err(|error| failed(reading(error)))?;
        if !meta.is_file() {
            return Err(failed(FileProblem::NotAFile));
        }
        if meta.len() > LIMIT {
            return Err(failed(FileProblem::TooLarge));
        }
        Self::of(path, fs::read(path).map_err(|error| failed(reading(error)))?)
    }
}

impl Module {
    /// Reads and parses a `.ko`, plain or compressed; its bytes are not kept.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a kernel module.
    pub fn read(path: &Utf8Path) -> Result<Self, FileError> {
        ModuleFile::read(path)?.module()
    }
}

impl Inspected {
    /// Reads and parses one file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a kernel module.
    pub fn read(path: &Utf8Path) -> Result<Self, FileError> {
        Self::of(ModuleFile::read(path)?)
    }
}

fn reading(error: io::Error) -> FileProblem {
    match error.kind() {
        io::ErrorKind::NotFound => FileProblem::NotFound,
        _ => FileProblem::Io(error),
    }
}

/// The files of all modules below `dir`, in the order of their names.
///
/// # Errors
///
/// A directory cannot be read, or a module's path is not UTF-8.
pub fn modules_in(dir: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry?;
        let is_module = |name: &str| name::stem(name).is_some();
        if entry.file_type().is_file() && entry.file_name().to_str().is_some_and(is_module) {
            let path = Utf8PathBuf::try_from(entry.into_path());
            files.push(path.map_err(camino::FromPathBufError::into_io_error)?);
        }
    }
    Ok(files)
}

/// Reads all `files`, `jobs` of them at a time, and gives what came of each in the order of
/// `files`. A file that cannot be read does not stop the others.
pub fn read_all(files: &[Utf8PathBuf], jobs: usize) -> Vec<Result<Inspected, FileError>> {
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
                assert_eq!(read.unwrap_err().to_string(), format!("{file}: no such file"));
            }
        }
        assert!(read_all(&[], 2).is_empty());
    }

    #[test]
    fn what_cannot_be_a_module_is_an_error_of_its_own() {
        let problem = |path: &str| ModuleFile::read(path.into()).unwrap_err().problem;
        assert!(matches!(problem("/nonexistent.ko"), FileProblem::NotFound));
        assert!(matches!(problem("/dev/zero"), FileProblem::NotAFile));
        assert!(matches!(problem("/"), FileProblem::NotAFile));
    }

    #[test]
    fn modules_are_found_below_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs::create_dir_all(dir.join("kernel/c.ko")).unwrap();
        for file in ["kernel/b.ko.xz", "a.ko", "a.ko.debug", "modules.dep", ".ko"] {
            fs::write(dir.join(file), "").unwrap();
        }
        assert_eq!(modules_in(dir).unwrap(), [dir.join("a.ko"), dir.join("kernel/b.ko.xz")]);
        assert!(modules_in(&dir.join("nowhere")).is_err());
    }
}
