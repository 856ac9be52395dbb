// SPDX-License-Identifier: GPL-2.0
//! The staged copy of a project: what Kbuild works in. Kbuild's `clean` deletes every object and `.ko` below
//! its directory, so that directory is never the source tree.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::Project;
use crate::context::Context;
use crate::failure::Failure;
use crate::source::Tree;
use crate::source::fetch::{self, Kernel};
use crate::source::import;
use crate::source::series::{self, Series};

/// Directories that are never source.
const SKIPPED: &[&str] = &[".git", ".hg", ".svn", "target", "node_modules"];

/// The file of a staged copy that names what was staged.
pub(crate) const LIST: &str = ".sources";

/// The files of a project: path relative to its directory, and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Its own, and what it takes from its repository.
    own: Tree,
    /// What it takes from the kernel's source, patched.
    imported: Tree,
}

impl Sources {
    /// Reads the files of a project, without what it takes from a kernel's source.
    pub fn read(project: &Project) -> Result<Self> {
        let all = [Utf8PathBuf::new()];
        let roots: &[Utf8PathBuf] = project.files.as_deref().unwrap_or(&all);
        let mut own = Tree::new();
        for root in roots {
            read_own(project, root, &mut own)?;
        }
        for local in project.import.iter().flat_map(|import| &import.local) {
            let keep = |path: &Utf8Path| is_source(path);
            add(&mut own, local.read(&project.dir, keep)?)?;
        }
        Ok(Self { own, imported: Tree::new() })
    }

    /// All that is staged of a project for a kernel: its files, and the import with the kernel's series applied.
    pub fn for_kernel(context: &Context, project: &Project, kernel: Kernel<'_>) -> Result<Self> {
        let sources = Self::read(project)?;
        let Some(import) = &project.import else { return Ok(sources) };
        let pristine = fetch::provide(context, kernel, import)?;
        let imported = match Series::open(&project.dir, kernel.release())? {
            Some(series) => series.apply(pristine, kernel.release())?,
            None => pristine,
        };
        let mut both = sources.own.clone();
        add(&mut both, imported.clone())?;
        Ok(Self { imported, ..sources })
    }

    /// Its own files, and what it takes from its repository.
    pub fn own(&self) -> &Tree {
        &self.own
    }

    /// What is imported, patched.
    pub fn imported(&self) -> &Tree {
        &self.imported
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = (&Utf8PathBuf, &Vec<u8>)> {
        self.own.iter().chain(&self.imported)
    }

    /// Hash over all names and contents.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in self.files() {
            hash.update(format!("{path}\0{}\0", content.len()));
            hash.update(content);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes `stage` hold these files. Unchanged ones keep their times, so that make rebuilds only what
    /// changed; sources that are gone are removed.
    pub fn write(&self, stage: &Utf8Path) -> Result<()> {
        self.remove_others(stage)?;
        for (path, content) in self.files() {
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
        let list = stage.join(LIST);
        let before = fs_err::read_to_string(&list).unwrap_or_default();
        for path in before.lines().map(Utf8Path::new).filter(|path| !self.contains(path)) {
            match fs_err::remove_file(stage.join(path)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        fs_err::create_dir_all(stage)?;
        let names = self.files().map(|(path, _)| format!("{path}\n")).collect::<String>();
        Ok(fs_err::write(list, names)?)
    }

    fn contains(&self, path: &Utf8Path) -> bool {
        self.own.contains_key(path) || self.imported.contains_key(path)
    }
}

/// Reads what is at `root` of a project.
fn read_own(project: &Project, root: &Utf8Path, own: &mut Tree) -> Result<()> {
    let of_import = |path: &Utf8Path| {
        let inner = path.strip_prefix(&project.dir).unwrap_or(path);
        project.import.is_some() && (inner == import::FILE || inner == series::DIR)
    };
    let wanted = |path: &Utf8Path| is_source(path) && !of_import(path);
    let walk = WalkDir::new(project.dir.join(root)).into_iter();
    for entry in walk.filter_entry(|entry| Utf8Path::from_path(entry.path()).is_some_and(wanted)) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).unwrap_or(Utf8Path::new(""));
        if entry.path_is_symlink() {
            return Err(link_refused(path).into());
        }
        if entry.file_type().is_file() {
            own.insert(path.strip_prefix(&project.dir)?.to_owned(), fs_err::read(path)?);
        }
    }
    Ok(())
}

/// Adds files that must not be there yet.
fn add(tree: &mut Tree, more: Tree) -> Result<()> {
    for (path, content) in more {
        if tree.contains_key(&path) {
            return Err(Failure::refused(path.as_str(), "is both a file of the project and imported")
                .remedy("rename it in the project, or change it by a patch")
                .into());
        }
        tree.insert(path, content);
    }
    Ok(())
}

fn link_refused(path: &Utf8Path) -> Failure {
    Failure::refused(path.as_str(), "a symbolic link in a project, which could lead out of it")
        .remedy("replace it by the file it points to")
}

/// Whether a file or directory is source: neither made by a build nor of a repository's own.
pub(crate) fn is_source(path: &Utf8Path) -> bool {
    !path.file_name().is_some_and(|name| SKIPPED.contains(&name)) && !is_product(path)
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
        let names: Vec<_> = Sources::read(&project).unwrap().own.into_keys().collect();
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
