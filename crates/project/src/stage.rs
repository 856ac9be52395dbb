// SPDX-License-Identifier: GPL-2.0
//! The staged copy of a project, in which Kbuild works. Kbuild's `clean` deletes every object and
//! `.ko` below its directory, so that directory is never the source tree.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::source::SourceTree;
use crate::source::fetch::{self, SourceKernel};
use crate::source::import;
use crate::source::series::{self, Series};
use crate::target_dir::CACHE_TAG;
use crate::{Project, command};
use dkms_conf::directives::leaves;
use kernel::context::Context;
use report::durable;
use report::failure::Failure;
use report::fingerprint::Fingerprint;

/// Directories that are never source.
const SKIPPED: &[&str] = &[".git", ".hg", ".svn"];

/// The file in a staged copy that lists what was staged.
pub const LIST: &str = ".sources";

/// The files of a project: path relative to its directory, and content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Its own files, and those that it takes from its repository.
    own: SourceTree,
    /// Those of its own files that are executable.
    programs: BTreeSet<Utf8PathBuf>,
    /// Symbolic links within the project, with their targets.
    links: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// Symbolic links that lead outside it, or are dangling.
    strays: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    /// The files that it takes from the kernel's source, patched.
    imported: SourceTree,
}

impl Sources {
    /// Reads the files of a project, without those from a kernel's source.
    pub fn read(project: &Project) -> Result<Self> {
        let all = [Utf8PathBuf::new()];
        let roots: &[Utf8PathBuf] = project.files.as_deref().unwrap_or(&all);
        let mut sources = Self::default();
        for root in roots {
            sources.read_own(project, root)?;
        }
        for local in project.import.iter().flat_map(|import| &import.local) {
            let keep = |path: &Utf8Path| is_source(path);
            add(&mut sources.own, local.read(&project.dir, keep)?)?;
        }
        sources.require_distinct()?;
        Ok(sources)
    }

    /// Reads everything that is staged for a kernel: the project's files, and the import with the
    /// kernel's series applied.
    pub fn for_kernel(context: &Context, project: &Project, kernel: SourceKernel<'_>) -> Result<Self> {
        let sources = Self::read(project)?;
        let Some(import) = &project.import else { return Ok(sources) };
        let pristine = fetch::provide(context, kernel, import)?;
        let imported = match Series::open(&project.dir, kernel.release())? {
            Some(series) => series.apply(pristine, kernel.release())?,
            None => pristine,
        };
        let mut both = sources.own.clone();
        add(&mut both, imported.clone())?;
        let sources = Self { imported, ..sources };
        sources.require_distinct()?;
        Ok(sources)
    }

    /// Refuses two things that would be staged at one place: a file and a link, or either and a
    /// directory.
    fn require_distinct(&self) -> Result<(), Failure> {
        let files = self.files().map(|(path, _)| path.as_path());
        let links = self.links.keys().map(Utf8PathBuf::as_path);
        let mut places: Vec<&Utf8Path> = files.chain(links).chain([Utf8Path::new(LIST)]).collect();
        // By their parts: what is in a directory follows it.
        places.sort_unstable();
        let twice = places.windows(2).find(|pair| pair[1].starts_with(pair[0]));
        twice.map_or(Ok(()), |pair| Err(both(pair[0])))
    }

    /// Its own files, and those that it takes from its repository.
    pub fn own(&self) -> &SourceTree {
        &self.own
    }

    /// The imported files, patched.
    pub fn imported(&self) -> &SourceTree {
        &self.imported
    }

    /// Which of its own files are executable.
    pub fn programs(&self) -> &BTreeSet<Utf8PathBuf> {
        &self.programs
    }

    /// Its symbolic links that lead to something in it, with their targets.
    pub fn links(&self) -> &BTreeMap<Utf8PathBuf, Utf8PathBuf> {
        &self.links
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = (&Utf8PathBuf, &Vec<u8>)> {
        self.own.iter().chain(&self.imported)
    }

    /// Messages about symbolic links that are not staged.
    pub fn left_out(&self) -> impl Iterator<Item = String> {
        self.strays.iter().map(|(path, to)| {
            format!("{path} is left out: it is a symbolic link to {to}, which is not a file of the project")
        })
    }

    /// The hash over all names and contents.
    pub fn hash(&self) -> String {
        let links = self.links.iter().flat_map(|(path, to)| [path, to]);
        let print = Fingerprint::new("sources", 1).list("programs", &self.programs).list("links", links);
        self.files().fold(print, |print, (path, content)| print.bytes(path.as_str(), content)).hex()
    }

    /// Makes `stage` contain these files. Unchanged ones keep their times, so that make only
    /// rebuilds what has changed; files that are no longer in the source are removed.
    ///
    /// What the project's programs have left in the stage is not trusted: no link there is
    /// followed.
    pub fn write(&self, stage: &Utf8Path) -> Result<()> {
        fs_err::create_dir_all(stage)?;
        self.remove_others(stage)?;
        for (path, content) in self.files() {
            let file = own_place(stage, path)?;
            if !fs_err::read(&file).is_ok_and(|there| there == *content) {
                fs_err::write(&file, content)?;
            }
            let mode = if self.programs.contains(path) { 0o755 } else { 0o644 };
            if fs_err::metadata(&file)?.permissions().mode() & 0o777 != mode {
                fs_err::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
            }
        }
        for (path, to) in &self.links {
            let place = own_place(stage, path)?;
            if place.exists() {
                fs_err::remove_file(&place)?;
            }
            fs_err::os::unix::fs::symlink(to, &place)?;
        }
        Ok(())
    }

    fn remove_others(&self, stage: &Utf8Path) -> Result<()> {
        let list = own_place(stage, Utf8Path::new(LIST))?;
        let before = fs_err::read_to_string(&list).unwrap_or_default();
        let gone = before.split('\0').map(Utf8Path::new).filter(|path| !leaves(path) && !self.contains(path));
        for path in gone.filter(|path| path.as_str() != "" && is_real_below(stage, path)) {
            // With what was made of it: make would take that for what cannot be made any more.
            for path in [Some(path.to_owned()), object_of(path)].into_iter().flatten() {
                match fs_err::remove_file(stage.join(path)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        }
        let names = self.files().map(|(path, _)| path).chain(self.links.keys());
        // A name may hold anything but this.
        durable::replace(&list, names.map(|path| format!("{path}\0")).collect::<String>().as_bytes())
    }

    fn contains(&self, path: &Utf8Path) -> bool {
        self.own.contains_key(path) || self.imported.contains_key(path) || self.links.contains_key(path)
    }

    /// Reads the files at `root` in a project.
    fn read_own(&mut self, project: &Project, root: &Utf8Path) -> Result<()> {
        let of_import = |path: &Utf8Path| {
            let inner = path.strip_prefix(&project.dir).unwrap_or(path);
            project.import.is_some() && (inner == import::FILE || inner == series::DIR)
        };
        // A copy of a project may have one.
        let list = |path: &Utf8Path| path == project.dir.join(LIST);
        let wanted = |path: &Utf8Path| is_source(path) && !of_import(path) && !list(path);
        let walk = WalkDir::new(project.dir.join(root)).into_iter();
        for entry in walk.filter_entry(|entry| Utf8Path::from_path(entry.path()).is_some_and(wanted)) {
            let entry = entry?;
            let path = Utf8Path::from_path(entry.path()).unwrap_or(Utf8Path::new(""));
            let inner = path.strip_prefix(&project.dir)?.to_owned();
            if entry.path_is_symlink() {
                let to = path.read_link_utf8()?;
                let links = if stays(&project.dir, path, &to) { &mut self.links } else { &mut self.strays };
                links.insert(inner, to);
            } else if entry.file_type().is_file() {
                if command::is_executable(path) {
                    self.programs.insert(inner.clone());
                }
                self.own.insert(inner, fs_err::read(path)?);
            }
        }
        Ok(())
    }
}

/// Path, size, mode, and time of change.
pub(crate) type FileState = (PathBuf, u64, u32, (i64, i64));

/// The state of all files in a staged copy, to find out whether anything was changed.
pub(crate) fn state(stage: &Utf8Path) -> Result<Vec<FileState>> {
    let entries = WalkDir::new(stage).sort_by_file_name().into_iter();
    let one = |entry: walkdir::Result<walkdir::DirEntry>| {
        let entry = entry?;
        let meta = entry.metadata()?;
        Ok((entry.into_path(), meta.size(), meta.mode(), (meta.ctime(), meta.ctime_nsec())))
    };
    entries.map(one).collect()
}

/// Whether the link at `path`, with the target `to`, leads to something in the project in `dir`,
/// and does so wherever the project is.
fn stays(dir: &Utf8Path, path: &Utf8Path, to: &Utf8Path) -> bool {
    to.is_relative() && path.canonicalize_utf8().is_ok_and(|found| found.starts_with(dir))
}

/// Whether none of the directories between `stage` and `path` is a link.
fn is_real_below(stage: &Utf8Path, path: &Utf8Path) -> bool {
    let parents = path.ancestors().skip(1).filter(|parent| parent.as_str() != "");
    parents.into_iter().all(|parent| stage.join(parent).symlink_metadata().is_ok_and(|meta| meta.is_dir()))
}

/// The place of a file in `stage`. Makes sure that real directories lead there, and removes
/// anything there that is not a regular file.
fn own_place(stage: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let place = stage.join(path);
    if !is_real_below(stage, path) {
        let mut parents: Vec<_> = path.ancestors().skip(1).filter(|parent| parent.as_str() != "").collect();
        parents.reverse();
        for parent in parents.into_iter().map(|parent| stage.join(parent)) {
            if !parent.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                fs_err::remove_file(&parent).ok();
                fs_err::create_dir(&parent)?;
            }
        }
    }
    match place.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs_err::remove_dir_all(&place)?,
        Ok(meta) if !meta.is_file() => fs_err::remove_file(&place)?,
        _ => {}
    }
    Ok(place)
}

/// The object that Kbuild makes of a source.
fn object_of(path: &Utf8Path) -> Option<Utf8PathBuf> {
    matches!(path.extension(), Some("c" | "rs" | "S")).then(|| path.with_extension("o"))
}

/// Adds files, none of which may be there already.
fn add(tree: &mut SourceTree, more: SourceTree) -> Result<()> {
    for (path, content) in more {
        if tree.contains_key(&path) {
            return Err(both(&path).into());
        }
        tree.insert(path, content);
    }
    Ok(())
}

/// The failure for a place in the staged copy that two things would have.
fn both(path: &Utf8Path) -> Failure {
    Failure::refused(path.as_str(), "is both a file of the project and imported")
        .remedy("rename it in the project, or change it by a patch")
}

/// Whether a file or directory is source: neither made by a build nor part of a repository's
/// metadata.
pub(crate) fn is_source(path: &Utf8Path) -> bool {
    let skipped = path.file_name().is_some_and(|name| SKIPPED.contains(&name));
    // cargo marks its target directories (https://bford.info/cachedir/).
    !skipped && !is_product(path) && !path.join(CACHE_TAG).exists()
}

/// Whether Kbuild has made a file in the source tree. An object without Kbuild's record of it was
/// shipped with the source.
fn is_product(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let by_suffix = [".ko", ".mod", ".mod.c", ".cmd"].iter().any(|suffix| name.ends_with(suffix));
    let made = || path.with_file_name(format!(".{name}.cmd")).exists();
    by_suffix || name == "modules.order" || name == "Module.symvers" || (name.ends_with(".o") && made())
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
        fs_err::create_dir_all(dir.path().join("target")).unwrap();
        let files =
            ["x.c", "x.o", ".x.o.cmd", "shipped.o", "x.ko", ".x.ko.cmd", "Module.symvers", ".git/config"];
        for file in files.into_iter().chain(["target/CACHEDIR.TAG", "target/y.c"]) {
            fs_err::write(dir.path().join(file), "").unwrap();
        }
        let names: Vec<_> = Sources::read(&project).unwrap().own.into_keys().collect();
        assert_eq!(names, ["dkms.conf", "shipped.o", "x.c"]);
    }

    #[test]
    fn links_are_staged_when_they_stay_in_the_project() {
        let (dir, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, stage) = (project(&dir), Utf8Path::from_path(stage.path()).unwrap());
        fs_err::create_dir(dir.path().join("sub")).unwrap();
        let own = dir.path().join("dkms.conf");
        for (name, to) in [
            ("sub/inner", "../dkms.conf"),
            ("absolute", own.to_str().unwrap()),
            ("outer", "/etc/passwd"),
            ("up", "../../etc/passwd"),
            ("nowhere", "missing"),
            ("through", "sub/../../"),
        ] {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        }
        let sources = Sources::read(&project).unwrap();
        assert_eq!(sources.links.keys().collect::<Vec<_>>(), ["sub/inner"]);
        let left_out: Vec<_> = sources.left_out().collect();
        assert_eq!(left_out.len(), 5, "{left_out:?}");
        sources.write(stage).unwrap();
        sources.write(stage).unwrap();
        assert_eq!(stage.join("sub/inner").read_link_utf8().unwrap(), "../dkms.conf");
        assert!(!stage.join("outer").exists());
    }

    /// A project in a repository, which takes files from there.
    fn taking_from_repository(files: &[(&str, &str)], local: &str) -> (tempfile::TempDir, Project) {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap();
        for (name, text) in files {
            fs_err::create_dir_all(base.join(name).parent().unwrap()).unwrap();
            fs_err::write(base.join(name), text).unwrap();
        }
        fs_err::create_dir_all(base.join(".git")).unwrap();
        fs_err::write(base.join("p/dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
        fs_err::write(base.join("p/import.toml"), format!("kernel = [\"fs/a\"]\n{local}")).unwrap();
        let project = Project::open(&base.join("p")).unwrap();
        (dir, project)
    }

    #[test]
    fn nothing_that_is_staged_takes_the_place_of_something_else() {
        let local = |to: &str| format!("[[local]]\nfrom = \"../m/a.rs\"\nto = \"{to}\"\n");
        let files = [("m/a.rs", ""), ("p/own/x.c", ""), ("p/plain", "")];
        for (to, object) in [
            ("own/x.c", "own/x.c"),
            ("own", "own"),
            ("plain/a.rs", "plain"),
            ("link", "link"),
            ("link/a.rs", "link"),
            (LIST, LIST),
        ] {
            let (dir, project) = taking_from_repository(&files, &local(to));
            std::os::unix::fs::symlink("plain", dir.path().join("p/link")).unwrap();
            let error = Sources::read(&project).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{object}: ")), "{to}: {error}");
        }
        let (_dir, project) = taking_from_repository(&files, &local("own/a.rs"));
        assert!(Sources::read(&project).is_ok());
    }

    #[test]
    fn programs_stay_programs() {
        let (dir, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, stage) = (project(&dir), Utf8Path::from_path(stage.path()).unwrap());
        let file = dir.path().join("configure");
        fs_err::write(&file, "#!/bin/sh\n").unwrap();
        let before = Sources::read(&project).unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        let after = Sources::read(&project).unwrap();
        assert_ne!(before.hash(), after.hash());
        after.write(stage).unwrap();
        assert!(command::is_executable(&stage.join("configure")));
        before.write(stage).unwrap();
        assert!(!command::is_executable(&stage.join("configure")));
    }

    /// A project's make can leave anything in the stage, and only there.
    #[test]
    fn nothing_is_written_or_removed_through_what_a_build_left() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, outside) = (project(&dir), Utf8Path::from_path(outside.path()).unwrap());
        let stage = outside.join("stage");
        fs_err::create_dir(dir.path().join("sub")).unwrap();
        fs_err::write(dir.path().join("sub/x.c"), "new").unwrap();
        let sources = Sources::read(&project).unwrap();
        sources.write(&stage).unwrap();
        fs_err::write(outside.join("x.c"), "kept").unwrap();
        fs_err::write(outside.join("gone.c"), "kept").unwrap();
        // A directory and the file of our own replaced by links, and a list that names what is not
        // in the stage.
        fs_err::remove_dir_all(stage.join("sub")).unwrap();
        std::os::unix::fs::symlink(outside, stage.join("sub")).unwrap();
        std::os::unix::fs::symlink(outside, stage.join("other")).unwrap();
        fs_err::remove_file(stage.join("dkms.conf")).unwrap();
        std::os::unix::fs::symlink(outside.join("x.c"), stage.join("dkms.conf")).unwrap();
        let list = format!("../gone.c\0{outside}/gone.c\0other/gone.c\0");
        fs_err::write(stage.join(LIST), list).unwrap();
        sources.write(&stage).unwrap();
        for file in ["x.c", "gone.c"] {
            assert_eq!(fs_err::read_to_string(outside.join(file)).unwrap(), "kept", "{file}");
        }
        assert_eq!(fs_err::read_to_string(stage.join("sub/x.c")).unwrap(), "new");
        assert!(stage.join("dkms.conf").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_name_with_a_newline_is_one_name() {
        let (dir, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, stage) = (project(&dir), Utf8Path::from_path(stage.path()).unwrap());
        let odd = "a: b\nmade.o";
        fs_err::write(dir.path().join(odd), "").unwrap();
        let sources = Sources::read(&project).unwrap();
        sources.write(stage).unwrap();
        // What make made is not taken for a source that is gone, and the odd file goes with its
        // source.
        fs_err::write(stage.join("made.o"), "").unwrap();
        sources.write(stage).unwrap();
        assert!(stage.join("made.o").exists() && stage.join(odd).exists());
        fs_err::remove_file(dir.path().join(odd)).unwrap();
        Sources::read(&project).unwrap().write(stage).unwrap();
        assert!(stage.join("made.o").exists() && !stage.join(odd).exists());
    }

    #[test]
    fn the_stage_follows_the_source_and_keeps_times() {
        let (dir, stage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (project, stage) = (project(&dir), Utf8Path::from_path(stage.path()).unwrap());
        fs_err::write(dir.path().join("gone.c"), "").unwrap();
        let before = Sources::read(&project).unwrap();
        before.write(stage).unwrap();
        let time = fs_err::metadata(stage.join("dkms.conf")).unwrap().modified().unwrap();
        for made in ["gone.o", "stays.o"] {
            fs_err::write(stage.join(made), "").unwrap();
        }
        fs_err::remove_file(dir.path().join("gone.c")).unwrap();
        let after = Sources::read(&project).unwrap();
        after.write(stage).unwrap();
        assert_ne!(before.hash(), after.hash());
        assert!(!stage.join("gone.c").exists() && !stage.join("gone.o").exists());
        assert!(stage.join("stays.o").exists());
        assert_eq!(fs_err::metadata(stage.join("dkms.conf")).unwrap().modified().unwrap(), time);
    }
}
