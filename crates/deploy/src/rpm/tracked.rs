// SPDX-License-Identifier: GPL-2.0
//! Which files of a project are tracked by its repository: others are not packaged.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use project::Project;
use project::source::SourceTree;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// The files that git tracks.
#[derive(Debug)]
pub struct Tracked {
    files: BTreeSet<Utf8PathBuf>,
}

/// The directory with `.git` at or above `dir`.
pub fn repository_of(dir: &Utf8Path) -> Option<&Utf8Path> {
    dir.ancestors().find(|dir| dir.join(".git").exists())
}

impl Tracked {
    /// What git tracks around `dir`; `None` if there is no repository. A repository that git cannot
    /// read is an error.
    pub fn around(dir: &Utf8Path, report: &Report) -> Result<Option<Self>> {
        let Some(top) = repository_of(dir) else { return Ok(None) };
        let list = Cmd::new("git").args(["-C", top.as_str(), "ls-files", "-z"]).run(report)?;
        let text = list.text();
        let files = text.split('\0').filter(|name| !name.is_empty()).map(|name| top.join(name)).collect();
        Ok(Some(Self { files }))
    }

    /// Refuses a project of which git tracks nothing, as in a repository to which nothing was added
    /// yet: its package would be empty.
    pub fn require_some(&self, project: &Project, tree: &SourceTree) -> Result<(), Failure> {
        if tree.keys().any(|path| self.files.contains(&origin(project, path))) {
            return Ok(());
        }
        Err(Failure::refused(
            project.dir.as_str(),
            "git tracks none of its files, and packages are made of what it tracks",
        )
        .remedy(format!("git -C {} add --all", project.dir)))
    }

    /// Removes from `tree`, the project's own files or links, those that are not tracked, and
    /// returns their names.
    pub fn retain<V>(&self, project: &Project, tree: &mut BTreeMap<Utf8PathBuf, V>) -> Vec<Utf8PathBuf> {
        let known = |path: &Utf8Path| self.files.contains(&origin(project, path));
        let left_out: Vec<_> = tree.keys().filter(|path| !known(path)).cloned().collect();
        tree.retain(|path, _| known(path));
        left_out
    }
}

/// Where a staged file comes from: the project's directory, or a place outside it named in
/// `import.toml`.
fn origin(project: &Project, path: &Utf8Path) -> Utf8PathBuf {
    let local = project.import.iter().flat_map(|import| &import.local);
    let taken = local.filter_map(|local| Some((local, path.strip_prefix(&local.to).ok()?))).next();
    match taken {
        None => project.dir.join(path),
        Some((local, rest)) => normal(&project.dir, &local.from, rest),
    }
}

/// `dir/from/rest` without `..`.
fn normal(dir: &Utf8Path, from: &Utf8Path, rest: &Utf8Path) -> Utf8PathBuf {
    let mut out = dir.to_owned();
    for part in from.components().chain(rest.components()) {
        match part {
            camino::Utf8Component::ParentDir => {
                out.pop();
            }
            camino::Utf8Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_the_project_are_found() {
        let at =
            |from: &str, rest: &str| normal(Utf8Path::new("/r/x"), Utf8Path::new(from), Utf8Path::new(rest));
        assert_eq!(at("../module/verify", "mod.rs"), "/r/module/verify/mod.rs");
        assert_eq!(at("../LICENSE", ""), "/r/LICENSE");
        assert_eq!(at("fs", "x.c"), "/r/x/fs/x.c");
    }

    #[test]
    fn a_file_that_git_does_not_track_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let git =
            |args: &[&str]| Cmd::new("git").args(["-C", dir.as_str()]).args(args).run(&Report::silent());
        git(&["init", "--quiet"]).unwrap();
        fs_err::write(dir.join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
        git(&["add", "dkms.conf"]).unwrap();
        let project = Project::open(dir).unwrap();
        let tracked = Tracked::around(&project.dir, &Report::silent()).unwrap().unwrap();
        let mut tree: SourceTree =
            ["dkms.conf", "notes.txt"].into_iter().map(|name| (name.into(), Vec::new())).collect();
        assert_eq!(tracked.retain(&project, &mut tree), ["notes.txt"]);
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["dkms.conf"]);
    }

    #[test]
    fn a_project_of_which_git_tracks_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        Cmd::new("git").args(["-C", dir.as_str(), "init", "--quiet"]).run(&Report::silent()).unwrap();
        fs_err::write(dir.join("dkms.conf"), "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n").unwrap();
        let project = Project::open(dir).unwrap();
        let tracked = Tracked::around(&project.dir, &Report::silent()).unwrap().unwrap();
        let tree: SourceTree = [("dkms.conf".into(), Vec::new())].into();
        let failure = tracked.require_some(&project, &tree).unwrap_err();
        assert!(failure.remedy.unwrap().contains("add --all"));
    }
}
