// SPDX-License-Identifier: GPL-2.0
//! `import.toml`: which files a project takes from the kernel's source and from its own repository.

use std::io::ErrorKind;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use walkdir::WalkDir;

use crate::source::{SourceTree, refused_path};
use report::failure::Failure;

/// Its name in a project.
pub const FILE: &str = "import.toml";

/// The files that a project takes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportList {
    /// From the kernel's source, to the same paths.
    pub kernel: Vec<KernelFiles>,
    /// From the repository that the project is in.
    pub local: Vec<LocalFiles>,
}

/// A file or directory of the kernel's source, or the files in a directory with a certain suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFiles(String);

/// Files of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalFiles {
    /// A file or directory, relative to the project's directory; it may be outside that, in its
    /// repository.
    pub from: Utf8PathBuf,
    /// Its path in the staged copy.
    pub to: Utf8PathBuf,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kernel: Vec<String>,
    #[serde(default)]
    local: Vec<LocalFiles>,
}

impl ImportList {
    /// Reads the import of the project in `dir`; `None` if it has no `import.toml`.
    pub fn open(dir: &Utf8Path) -> Result<Option<Self>> {
        let file = dir.join(FILE);
        let text = match fs_err::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let import = Self::parse(&text).map_err(|reason| {
            Failure::refused(file.as_str(), reason).remedy(
                "write kernel = [\"fs/x\", \"fs/y/*.h\"], and optionally [[local]] tables with from and to",
            )
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
        let kernel = written.kernel.into_iter().map(KernelFiles::new).collect::<Result<Vec<_>, _>>()?;
        for local in &written.local {
            // Its place is checked on disk when it is read.
            let inner = local.from.as_str().trim_start_matches("../");
            for path in [inner, local.to.as_str()] {
                refused_path(path).map_or(Ok(()), |why| Err(format!("local: {path:?} {why}")))?;
            }
        }
        Ok(Self { kernel, local: written.local })
    }
}

impl KernelFiles {
    fn new(text: String) -> Result<Self, String> {
        // The last name may begin with one `*`.
        let plain = match text.rsplit_once('/') {
            Some((dir, name)) if name.starts_with('*') => format!("{dir}/x{}", &name[1..]),
            _ => text.clone(),
        };
        match refused_path(&plain) {
            Some(why) => Err(format!("kernel: {text:?} {why}")),
            None => Ok(Self(text)),
        }
    }

    /// As it is written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory and the suffix, if it is a pattern.
    pub(super) fn pattern(&self) -> Option<(&Utf8Path, &str)> {
        let (dir, end) = self.0.split_once("/*")?;
        Some((Utf8Path::new(dir), end))
    }

    /// Whether `path` is one of the wanted files.
    pub(super) fn covers(&self, path: &Utf8Path) -> bool {
        match self.pattern() {
            Some((dir, end)) => path.parent() == Some(dir) && path.as_str().ends_with(end),
            None => path.starts_with(&self.0),
        }
    }
}

impl LocalFiles {
    /// Reads the files, by their paths in the staged copy. Links in the path are refused.
    pub fn read(&self, project: &Utf8Path, keep: impl Fn(&Utf8Path) -> bool) -> Result<SourceTree> {
        let refuse = |path: &Utf8Path, why: &str| {
            Failure::refused(format!("{}: local {}", project.join(FILE), path), why)
                .remedy("name files in the repository that the project is in")
        };
        let named = project.join(&self.from);
        let found = named.canonicalize_utf8().map_err(|error| refuse(&self.from, &error.to_string()))?;
        if !found.starts_with(bound(project)) {
            return Err(refuse(&self.from, "is outside the project's repository").into());
        }
        if found != lexical(&named) {
            return Err(refuse(&self.from, "is reached through a symbolic link").into());
        }
        let mut tree = SourceTree::new();
        for entry in WalkDir::new(&found)
            .into_iter()
            .filter_entry(|entry| Utf8Path::from_path(entry.path()).is_some_and(&keep))
        {
            let entry = entry?;
            let path = Utf8Path::from_path(entry.path()).context("a file name is not UTF-8")?;
            if entry.path_is_symlink() {
                return Err(
                    refuse(path, "is a symbolic link, which could lead outside the repository").into()
                );
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

/// The repository that a project is in: the nearest directory at or above it that has a `.git` or
/// is a cargo workspace; otherwise the project itself.
fn bound(project: &Utf8Path) -> Utf8PathBuf {
    let workspace = |dir: &Utf8Path| {
        let manifest = fs_err::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim_end() == "[workspace]")
    };
    let repository = |dir: &&Utf8Path| dir.join(".git").exists() || workspace(dir);
    project.ancestors().find(repository).unwrap_or(project).to_owned()
}

/// `path` with `..` resolved as if there were no links.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_names_files_directories_and_suffixes() {
        let import = ImportList::parse(
            "kernel = [\"fs/a\", \"fs/n/*.h\"]\n[[local]]\nfrom = \"../m/v\"\nto = \"m/v\"\n",
        )
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
        assert_eq!(import.local, [LocalFiles { from: "../m/v".into(), to: "m/v".into() }]);
    }

    #[test]
    fn what_leaves_or_is_unknown_is_refused() {
        for (text, reason) in [
            ("", "missing field `kernel`"),
            ("kernel = []", "names nothing"),
            ("kernel = [\"/etc\"]", "absolute"),
            ("kernel = [\"../x\"]", "leads outside"),
            ("kernel = [\"fs/../../x\"]", "leads outside"),
            ("kernel = [\"*\"]", "not a plain path"),
            ("kernel = [\"fs/*/x.h\"]", "not a plain path"),
            ("kernel = [\"fs/*.h*\"]", "not a plain path"),
            ("kernel = [\"--to-command=x\"]", "not a plain path"),
            ("kernel = [\"fs/a\"]\nfiles = []", "unknown field `files`"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"/etc\"\nto = \"x\"", "absolute"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"a/../../x\"\nto = \"x\"", "leads outside"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"x\"\nto = \"../x\"", "leads outside"),
            ("kernel = [\"fs/a\"]\n[[local]]\nfrom = \"x\"\nto = \"y\"\nmode = 1", "unknown field `mode`"),
            ("kernel = \"fs/a\"", "invalid type"),
        ] {
            let found = ImportList::parse(text).unwrap_err();
            assert!(found.contains(reason), "{text:?}: {found}");
        }
    }

    /// A project `p` in a repository, and files outside both.
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

    fn local(from: &str) -> LocalFiles {
        LocalFiles { from: from.into(), to: "to".into() }
    }

    #[test]
    fn local_files_come_from_the_repository_only() {
        let (_dir, project) = repository_with_project();
        let keep = |path: &Utf8Path| path.extension() != Some("o");
        let tree = local("../m/v").read(&project, keep).unwrap();
        assert_eq!(tree, SourceTree::from([("to/a.rs".into(), b"r/m/v/a.rs".to_vec())]));
        assert_eq!(
            local("../m/v/a.rs").read(&project, keep).unwrap().into_keys().collect::<Vec<_>>(),
            ["to"]
        );
        std::os::unix::fs::symlink("../outside", project.join("link")).unwrap();
        std::os::unix::fs::symlink("../m", project.join("inner")).unwrap();
        for (from, reason) in [
            ("../../outside", "outside the project's repository"),
            ("inner/v", "symbolic link"),
            ("../nothing", "No such file"),
        ] {
            let error = local(from).read(&project, keep).unwrap_err().to_string();
            assert!(error.contains(reason), "{from}: {error}");
        }
        std::os::unix::fs::symlink("/etc/passwd", project.join("../m/v/link.rs")).unwrap();
        assert!(local("../m/v").read(&project, keep).unwrap_err().to_string().contains("symbolic link"));
    }
}
