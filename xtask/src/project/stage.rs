// SPDX-License-Identifier: GPL-2.0
//! The staged copy of a project: what Kbuild works in. Kbuild's `clean` deletes every object and `.ko` below
//! its directory, so that directory is never the source tree.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::Project;
use crate::failure::Failure;

/// Directories that are never source.
const SKIPPED: &[&str] = &[".git", ".hg", ".svn", "target", "node_modules"];

/// The files of a project: path relative to its directory, and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(BTreeMap<Utf8PathBuf, Vec<u8>>);

impl Sources {
    /// Reads the files of a project.
    pub fn read(project: &Project) -> Result<Self> {
        let all = [Utf8PathBuf::new()];
        let roots: &[Utf8PathBuf] = project.files.as_deref().unwrap_or(&all);
        let mut files = BTreeMap::new();
        for root in roots {
            let walk = WalkDir::new(project.dir.join(root)).into_iter();
            for entry in walk
                .filter_entry(|entry| entry.file_name().to_str().is_some_and(|name| !SKIPPED.contains(&name)))
            {
                let entry = entry?;
                let path = Utf8Path::from_path(entry.path()).unwrap_or(Utf8Path::new(""));
                if entry.path_is_symlink() {
                    return Err(link_refused(path).into());
                }
                if entry.file_type().is_file() && !is_product(path) {
                    files.insert(path.strip_prefix(&project.dir)?.to_owned(), fs_err::read(path)?);
                }
            }
        }
        Ok(Self(files))
    }

    /// Hash over all names and contents.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.0 {
            hash.update(format!("{path}\0{}\0", content.len()));
            hash.update(content);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes `stage` hold these files. Unchanged ones keep their times, so that make rebuilds only what
    /// changed; sources that are gone are removed.
    pub fn write(&self, stage: &Utf8Path) -> Result<()> {
        self.remove_others(stage)?;
        for (path, content) in &self.0 {
            let file = stage.join(path);
            if fs_err::read(&file).is_ok_and(|there| there == *content) {
                continue;
            }
            fs_err::create_dir_all(file.parent().unwrap_or(stage))?;
            fs_err::write(&file, content)?;
        }
        Ok(())
    }

    fn remove_others(&self, stage: &Utf8Path) -> Result<()> {
        let list = stage.join(".sources");
        let before = fs_err::read_to_string(&list).unwrap_or_default();
        for path in before.lines().map(Utf8Path::new).filter(|path| !self.0.contains_key(*path)) {
            match fs_err::remove_file(stage.join(path)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        fs_err::create_dir_all(stage)?;
        let names = self.0.keys().map(|path| format!("{path}\n")).collect::<String>();
        Ok(fs_err::write(list, names)?)
    }
}

fn link_refused(path: &Utf8Path) -> Failure {
    Failure::refused(path.as_str(), "a symbolic link in a project, which could lead out of it")
        .remedy("replace it by the file it points to")
}

/// Whether a file is what Kbuild makes, left by a build in the source tree.
fn is_product(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let by_suffix = [".ko", ".o", ".mod", ".mod.c", ".cmd"].iter().any(|suffix| name.ends_with(suffix));
    by_suffix || name == "modules.order" || name == "Module.symvers"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(dir: &tempfile::TempDir) -> Project {
        fs_err::write(dir.path().join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
        Project::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap()
    }

    #[test]
    fn products_and_repositories_are_not_sources() {
        let dir = tempfile::tempdir().unwrap();
        let project = project(&dir);
        fs_err::create_dir_all(dir.path().join(".git")).unwrap();
        for file in ["x.c", "x.o", "x.ko", ".x.ko.cmd", "Module.symvers", ".git/config"] {
            fs_err::write(dir.path().join(file), "").unwrap();
        }
        let names: Vec<_> = Sources::read(&project).unwrap().0.into_keys().collect();
        assert_eq!(names, ["dkms.conf", "x.c"]);
    }

    #[test]
    fn a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let project = project(&dir);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("x.c")).unwrap();
        assert!(Sources::read(&project).unwrap_err().to_string().contains("symbolic link"));
    }

    #[test]
    fn the_stage_follows_the_source_and_keeps_times() {
        let (dir, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, stage) = (project(&dir), Utf8Path::from_path(stage.path()).unwrap());
        fs_err::write(dir.path().join("gone.c"), "").unwrap();
        let before = Sources::read(&project).unwrap();
        before.write(stage).unwrap();
        let time = fs_err::metadata(stage.join("dkms.conf")).unwrap().modified().unwrap();
        fs_err::remove_file(dir.path().join("gone.c")).unwrap();
        let after = Sources::read(&project).unwrap();
        after.write(stage).unwrap();
        assert_ne!(before.hash(), after.hash());
        assert!(!stage.join("gone.c").exists());
        assert_eq!(fs_err::metadata(stage.join("dkms.conf")).unwrap().modified().unwrap(), time);
    }
}
