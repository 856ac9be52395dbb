// SPDX-License-Identifier: GPL-2.0
//! `import.toml`: which files of the kernel's source a project is made of, and where they are had from.

use std::io::ErrorKind;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::{Tree, refused_path};
use crate::archive::Archive;
use crate::archive::package::Package;
use crate::cache::{partial_name, remove_plain};
use crate::context::{Context, repository};
use crate::failure::Failure;
use crate::kernel::discover;
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::{self, Prepared};
use crate::kernel::release::Release;
use crate::process::{self, Cmd};

/// Its name in a project.
pub const FILE: &str = "import.toml";

/// What a project takes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Of the kernel's source, to the same places.
    pub kernel: Vec<Wanted>,
    /// Of the repository that the project is in.
    pub local: Vec<Local>,
}

/// A file or directory of the kernel's source, or files of a directory by the end of their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted(String);

/// Files of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// A file or directory, relative to the project's directory; it may lie outside of that, in its repository.
    pub from: Utf8PathBuf,
    /// Where it is in the staged copy.
    pub to: Utf8PathBuf,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kernel: Vec<String>,
    #[serde(default)]
    local: Vec<Local>,
}

impl Import {
    /// Reads the import of the project in `dir`; none when it has no `import.toml`.
    pub fn open(dir: &Utf8Path) -> Result<Option<Self>> {
        let file = dir.join(FILE);
        let text = match fs_err::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let import = Self::parse(&text).map_err(|reason| {
            Failure::refused(file.as_str(), reason)
                .remedy("kernel = [\"fs/x\", \"fs/y/*.h\"], and [[local]] tables with from and to")
        })?;
        Ok(Some(import))
    }

    /// Reads the text of an `import.toml`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if written.kernel.is_empty() {
            return Err("kernel: names nothing to import".to_owned());
        }
        let kernel = written.kernel.into_iter().map(Wanted::new).collect::<Result<Vec<_>, _>>()?;
        for local in &written.local {
            // Where it lies is checked on the disk, when it is read.
            let inner = local.from.as_str().trim_start_matches("../");
            for path in [inner, local.to.as_str()] {
                refused_path(path).map_or(Ok(()), |why| Err(format!("local: {path:?} {why}")))?;
            }
        }
        Ok(Self { kernel, local: written.local })
    }
}

impl Wanted {
    fn new(text: String) -> Result<Self, String> {
        // One `*` may begin the last name.
        let plain = match text.rsplit_once('/') {
            Some((dir, name)) if name.starts_with('*') => format!("{dir}/x{}", &name[1..]),
            _ => text.clone(),
        };
        match refused_path(&plain) {
            Some(why) => Err(format!("kernel: {text:?} {why}")),
            None => Ok(Self(text)),
        }
    }

    /// The directory and the end of the names in it, where it is a pattern.
    fn pattern(&self) -> Option<(&Utf8Path, &str)> {
        let (dir, end) = self.0.split_once("/*")?;
        Some((Utf8Path::new(dir), end))
    }

    /// Whether `path` is one of the wanted files.
    fn covers(&self, path: &Utf8Path) -> bool {
        match self.pattern() {
            Some((dir, end)) => path.parent() == Some(dir) && path.as_str().ends_with(end),
            None => path.starts_with(&self.0),
        }
    }
}

impl Local {
    /// Reads the files, by the paths they are staged at. A link is refused wherever it is on the way.
    pub fn read(&self, project: &Utf8Path, keep: impl Fn(&Utf8Path) -> bool) -> Result<Tree> {
        let refuse = |path: &Utf8Path, why: &str| {
            Failure::refused(format!("{}: local {}", project.join(FILE), path), why)
                .remedy("name files of the repository that the project is in")
        };
        let named = project.join(&self.from);
        let found = named.canonicalize_utf8().map_err(|error| refuse(&self.from, &error.to_string()))?;
        if !found.starts_with(bound(project)) {
            return Err(refuse(&self.from, "lies outside of the project's repository").into());
        }
        if found != lexical(&named) {
            return Err(refuse(&self.from, "is reached by a symbolic link").into());
        }
        let mut tree = Tree::new();
        for entry in WalkDir::new(&found)
            .into_iter()
            .filter_entry(|entry| Utf8Path::from_path(entry.path()).is_some_and(&keep))
        {
            let entry = entry?;
            let path = Utf8Path::from_path(entry.path()).context("a name that is no UTF-8")?;
            if entry.path_is_symlink() {
                return Err(refuse(path, "is a symbolic link, which could lead out of the repository").into());
            }
            if entry.file_type().is_file() {
                let inner = path.strip_prefix(&found)?;
                let place = if inner == "" { self.to.clone() } else { self.to.join(inner) };
                tree.insert(place, fs_err::read(path)?);
            }
        }
        Ok(tree)
    }
}

/// The repository that a project is in: this one, or the nearest directory above it that git knows; a
/// project by itself is its own.
fn bound(project: &Utf8Path) -> Utf8PathBuf {
    let ours = repository().canonicalize_utf8().ok().filter(|ours| project.starts_with(ours));
    ours.or_else(|| project.ancestors().find(|dir| dir.join(".git").exists()).map(Utf8Path::to_owned))
        .unwrap_or_else(|| project.to_owned())
}

/// `path` without `..`, as if there were no links.
fn lexical(path: &Utf8Path) -> Utf8PathBuf {
    path.components().fold(Utf8PathBuf::new(), |mut path, part| {
        if part == camino::Utf8Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
        path
    })
}

/// The source package of a kernel, as the cache knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Origin {
    version: String,
    sha256: String,
}

/// The kernel whose source is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Kernel<'a> {
    /// One that is prepared: of exactly the packages that it was made of.
    Prepared(&'a Prepared),
    /// One that need not be.
    Named(&'a Release),
}

impl<'a> Kernel<'a> {
    /// Its release.
    pub fn release(self) -> &'a Release {
        match self {
            Self::Prepared(prepared) => prepared.kdir.release(),
            Self::Named(release) => release,
        }
    }
}

/// The files that `import` names, as they are in the kernel's source.
pub fn provide(context: &Context, kernel: Kernel<'_>, import: &Import) -> Result<Tree> {
    match kernel {
        Kernel::Prepared(prepared) => of_prepared(context, prepared, import),
        Kernel::Named(release) => of_release(context, release, import),
    }
}

/// Of the source that a prepared kernel was built from.
fn of_prepared(context: &Context, prepared: &Prepared, import: &Import) -> Result<Tree> {
    if let Some(place) = known(context, &prepared.kdir, import) {
        return read(&place, import);
    }
    let mut archive = Archive::open(context)?;
    let release = prepared.kdir.release();
    let kernel = discover::find(&mut archive, release)?;
    let inputs = &prepared.kdir.stamp().inputs;
    if prepare::inputs_of(&archive, &kernel, &prepared.root)? != *inputs {
        let reason =
            format!("was prepared from other packages than the archive has now ({})", kernel.headers.version);
        return Err(Failure::refused(release.as_str(), reason)
            .remedy(format!("cargo xtask kernel prepare {release}"))
            .into());
    }
    let source = prepare::source_package(&archive, &kernel)?;
    let tree = of_package(context, &archive, release, source, import)?;
    let origin = Origin { version: source.version.clone(), sha256: source.sha256.clone() };
    write_whole(&origin_file(context, inputs), &serde_json::to_vec(&origin)?)?;
    Ok(tree)
}

fn of_release(context: &Context, release: &Release, import: &Import) -> Result<Tree> {
    if let Some(place) = Kdir::open(context, release).and_then(|kdir| known(context, &kdir, import)) {
        return read(&place, import);
    }
    let mut archive = Archive::open(context)?;
    let kernel = discover::find(&mut archive, release)?;
    let source = prepare::source_package(&archive, &kernel)?;
    of_package(context, &archive, release, source, import)
}

/// Where the import is kept that belongs to a prepared kernel, if it is: then no archive is asked. A kernel's inputs
/// are the packages that it was made of, so the source that belongs to them never changes.
fn known(context: &Context, kdir: &Kdir, import: &Import) -> Option<Utf8PathBuf> {
    let json = fs_err::read(origin_file(context, &kdir.stamp().inputs)).ok()?;
    let origin: Origin = serde_json::from_slice(&json).ok()?;
    Some(place_of(context, &origin.sha256, import)).filter(|place| place.exists())
}

fn origin_file(context: &Context, inputs: &str) -> Utf8PathBuf {
    context.cache.path("imports/origins").join(inputs)
}

fn of_package(
    context: &Context,
    archive: &Archive<'_>,
    release: &Release,
    source: &Package,
    import: &Import,
) -> Result<Tree> {
    let place = place_of(context, &source.sha256, import);
    let name = place.file_name().unwrap_or_default();
    let _lock = context.cache.lock(&format!("import {name}"), &context.report)?;
    if !place.exists() {
        let deb = archive.fetch(&[source])?.remove(0);
        let what = format!("from the source {} {}", source.name, source.version);
        let step = context.report.step("Importing", &what);
        let partial = context.cache.partial(&place, &context.report, remove_plain)?;
        unpack(context, &deb, release, import, &partial).inspect_err(|_| {
            fs_err::remove_dir_all(&partial).ok();
        })?;
        fs_err::rename(&partial, &place)?;
        step.done("Imported", &what);
    }
    read(&place, import)
}

/// Where these files of this source are kept.
fn place_of(context: &Context, source: &str, import: &Import) -> Utf8PathBuf {
    let mut hash = Sha256::new();
    hash.update(source);
    import.kernel.iter().for_each(|wanted| hash.update(format!("\0{}", wanted.0)));
    let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    context.cache.path("imports").join(name)
}

/// Unpacks just the wanted files of the source package to `into`.
fn unpack(
    context: &Context,
    deb: &Utf8Path,
    release: &Release,
    import: &Import,
    into: &Utf8Path,
) -> Result<()> {
    let name = format!("linux-source-{}", release.line());
    let (patterns, plain): (Vec<_>, Vec<_>) =
        import.kernel.iter().partition(|wanted| wanted.pattern().is_some());
    let inside = |wanted: &&Wanted| format!("{name}/{}", wanted.0);
    let tar = Cmd::new("tar")
        .args(["--extract", "--no-same-owner", "--strip-components=1", "--directory"])
        .arg(into)
        .arg("--no-wildcards")
        .args(plain.iter().map(inside))
        .args(["--wildcards", "--no-wildcards-match-slash"])
        .args(patterns.iter().map(inside))
        .env("LC_ALL", "C.UTF-8");
    let unpacked = process::pipeline(
        &[
            Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb),
            Cmd::new("tar").args(["--extract", "--to-stdout"]).arg(format!("./usr/src/{name}.tar.xz")),
            Cmd::new("xz").args(["--decompress", "--stdout", "--threads=0"]),
            tar,
        ],
        &context.report,
    );
    match unpacked {
        Err(error) if error.to_string().contains("Not found in archive") => {
            // tar has unpacked the others, so it can be told which is missing.
            read(into, import)?;
            Err(error)
        }
        unpacked => unpacked,
    }
}

/// Reads imported files. Only what is named is taken, each name must stand for something, and nothing but plain
/// files is.
fn read(place: &Utf8Path, import: &Import) -> Result<Tree> {
    let mut tree = Tree::new();
    for entry in WalkDir::new(place) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).context("a name that is no UTF-8")?;
        let inner = path.strip_prefix(place)?;
        if entry.file_type().is_dir() || !import.kernel.iter().any(|wanted| wanted.covers(inner)) {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(Failure::refused(inner.as_str(), "is no plain file in the kernel's source")
                .remedy("name other files in import.toml")
                .into());
        }
        tree.insert(inner.to_owned(), fs_err::read(path)?);
    }
    let stands_for_none = |wanted: &&Wanted| !tree.keys().any(|path| wanted.covers(path));
    match import.kernel.iter().find(stands_for_none) {
        None => Ok(tree),
        Some(Wanted(name)) => {
            Err(Failure::refused(format!("{FILE}: {name}"), "is not in the kernel's source")
                .remedy("correct the name, or give the project a version for this kernel")
                .into())
        }
    }
}

fn write_whole(file: &Utf8Path, content: &[u8]) -> Result<()> {
    fs_err::create_dir_all(file.parent().context("a file in the cache")?)?;
    let partial = partial_name(&Utf8PathBuf::from(format!("{file}.{}", std::process::id())));
    fs_err::write(&partial, content)?;
    Ok(fs_err::rename(partial, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_names_files_directories_and_ends_of_names() {
        let import =
            Import::parse("kernel = [\"fs/a\", \"fs/n/*.h\"]\n[[local]]\nfrom = \"../m/v\"\nto = \"m/v\"\n")
                .unwrap();
        for (path, wanted) in [
            ("fs/a", true),
            ("fs/a/b/c.c", true),
            ("fs/ab.c", false),
            ("fs/n/x.h", true),
            ("fs/n/x.c", false),
            ("fs/n/d/x.h", false),
        ] {
            assert_eq!(import.kernel.iter().any(|entry| entry.covers(Utf8Path::new(path))), wanted, "{path}");
        }
        assert_eq!(import.local, [Local { from: "../m/v".into(), to: "m/v".into() }]);
    }

    #[test]
    fn what_leaves_or_is_unknown_is_refused() {
        for (text, reason) in [
            ("", "missing field `kernel`"),
            ("kernel = []", "names nothing"),
            ("kernel = [\"/etc\"]", "absolute"),
            ("kernel = [\"../x\"]", "leads out"),
            ("kernel = [\"fs/../../x\"]", "leads out"),
            ("kernel = [\"*\"]", "no plain path"),
            ("kernel = [\"fs/*/x.h\"]", "no plain path"),
            ("kernel = [\"fs/*.h*\"]", "no plain path"),
            ("kernel = [\"--to-command=x\"]", "no plain path"),
            ("kernel = [\"fs/a\"]\nfiles = []", "unknown field `files`"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"/etc\"\nto = \"x\"", "absolute"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"a/../../x\"\nto = \"x\"", "leads out"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"x\"\nto = \"../x\"", "leads out"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"x\"\nto = \"y\"\nmode = 1", "unknown field `mode`"),
            ("kernel = \"fs/a\"", "invalid type"),
        ] {
            let found = Import::parse(text).unwrap_err();
            assert!(found.contains(reason), "{text:?}: {found}");
        }
    }

    /// A project `p` in a repository, with something beside both.
    fn repository_with_project() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        for part in ["r/.git", "r/p", "r/m/v", "outside"] {
            fs_err::create_dir_all(base.join(part)).unwrap();
        }
        for file in ["r/m/v/a.rs", "r/m/v/b.o", "outside/x"] {
            fs_err::write(base.join(file), file).unwrap();
        }
        let project = base.join("r/p");
        (dir, project)
    }

    fn local(from: &str) -> Local {
        Local { from: from.into(), to: "to".into() }
    }

    #[test]
    fn local_files_come_from_the_repository_only() {
        let (_dir, project) = repository_with_project();
        let keep = |path: &Utf8Path| path.extension() != Some("o");
        let tree = local("../m/v").read(&project, keep).unwrap();
        assert_eq!(tree, Tree::from([("to/a.rs".into(), b"r/m/v/a.rs".to_vec())]));
        assert_eq!(
            local("../m/v/a.rs").read(&project, keep).unwrap().into_keys().collect::<Vec<_>>(),
            ["to"]
        );
        std::os::unix::fs::symlink("../outside", project.join("link")).unwrap();
        std::os::unix::fs::symlink("../m", project.join("inner")).unwrap();
        for (from, reason) in [
            ("../../outside", "outside of the project's repository"),
            ("inner/v", "symbolic link"),
            ("../nothing", "No such file"),
        ] {
            let error = local(from).read(&project, keep).unwrap_err().to_string();
            assert!(error.contains(reason), "{from}: {error}");
        }
        std::os::unix::fs::symlink("/etc/passwd", project.join("../m/v/link.rs")).unwrap();
        assert!(local("../m/v").read(&project, keep).unwrap_err().to_string().contains("symbolic link"));
    }

    #[test]
    fn only_plain_files_that_are_named_are_imported_and_each_name_counts() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(place.join("fs/a")).unwrap();
        fs_err::write(place.join("fs/a/x.c"), "x").unwrap();
        fs_err::write(place.join("fs/other.c"), "x").unwrap();
        let import = |text| Import::parse(text).unwrap();
        let tree = read(place, &import("kernel = [\"fs/a\"]")).unwrap();
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["fs/a/x.c"]);
        let error = read(place, &import("kernel = [\"fs/a\", \"fs/b\"]")).unwrap_err().to_string();
        assert!(error.contains("fs/b: is not in the kernel's source"), "{error}");
        std::os::unix::fs::symlink("/etc/passwd", place.join("fs/a/link")).unwrap();
        let error = read(place, &import("kernel = [\"fs/a\"]")).unwrap_err().to_string();
        assert!(error.contains("fs/a/link: is no plain file"), "{error}");
    }
}
