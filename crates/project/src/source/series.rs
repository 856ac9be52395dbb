// SPDX-License-Identifier: GPL-2.0
//! Patch series: `patches/LINE/series` lists the patches for a kernel line in the order in which
//! they are applied, as for quilt(1).
//!
//! LINE is the beginning of a release, such as `7.2`, `6.12.107` or `7.2.13+deb14-cloud-amd64`, or
//! `default`. The longest one that matches a kernel is used. A name is that of a file beside the
//! series, or `LINE/NAME` for a patch of another line, so that two lines can share one.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::source::patch::{Patch, Rejected};
use crate::source::{SourceTree, refused_path};
use kmodfile::release::Release;
use report::failure::Failure;

/// The directory with the series of a project.
pub const DIR: &str = "patches";

/// The line that matches every kernel.
const DEFAULT: &str = "default";

/// The patches of one kernel line.
#[derive(Clone, Debug)]
pub struct Series {
    dir: Utf8PathBuf,
    patches: Vec<(String, Patch)>,
}

impl Series {
    /// The series of the project in `dir` for a kernel; `None` if the project has no patches at
    /// all.
    pub fn open(dir: &Utf8Path, release: &Release) -> Result<Option<Self>> {
        let all = dir.join(DIR);
        if !all.exists() {
            return Ok(None);
        }
        let mut lines = Vec::new();
        for entry in all.read_dir_utf8()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                lines.push(entry.file_name().to_owned());
            }
        }
        lines.sort();
        let Some(line) = choose(&lines, release) else {
            let reason = format!("has no series for {release}, only for {}", lines.join(", "));
            return Err(Failure::refused(all.as_str(), reason)
                .remedy(format!(
                    "write {all}/{}/series for this kernel, or choose another kernel",
                    release.line()
                ))
                .into());
        };
        Self::read(all.join(line)).map(Some)
    }

    fn read(dir: Utf8PathBuf) -> Result<Self> {
        let file = dir.join("series");
        let text = fs_err::read_to_string(&file).map_err(|error| {
            Failure::refused(file.as_str(), error.to_string()).remedy("create it, with one patch per line")
        })?;
        let names = names(&text).map_err(|(line, reason)| {
            Failure::refused(format!("{file}:{line}"), reason)
                .remedy("write one file name per line; comments begin with #")
        })?;
        let patches = names.into_iter().map(|name| {
            let file = file_of(&dir, &name);
            if file.is_symlink() || file.parent().is_some_and(Utf8Path::is_symlink) {
                return Err(Failure::refused(
                    file.as_str(),
                    "is a symbolic link, which could lead outside the project",
                )
                .remedy("replace it with the file that it points to"));
            }
            let text = fs_err::read(&file).map_err(|error| {
                Failure::refused(file.as_str(), error.to_string()).remedy("correct the series")
            })?;
            let patch = Patch::parse(&text).map_err(|unreadable| {
                Failure::refused(format!("{file}:{}", unreadable.line), unreadable.reason)
                    .remedy("make it again: diff -u, or cargo kmod patch refresh")
            })?;
            Ok((name, patch))
        });
        let patches = patches.collect::<Result<Vec<_>, Failure>>()?;
        Ok(Self { dir, patches })
    }

    /// Its directory.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The names of its patches, in order.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.patches.iter().map(|(name, _)| name.as_str())
    }

    /// The file of one of its patches, by its name in the series, which for a patch of another line
    /// includes that line.
    pub fn file(&self, name: &str) -> Utf8PathBuf {
        file_of(&self.dir, name)
    }

    /// The series without its last patch.
    #[must_use]
    pub fn without_last(mut self) -> Self {
        self.patches.pop();
        self
    }

    /// `tree` with all patches applied. Refused, if one does not apply; nothing is written
    /// anywhere.
    pub fn apply(&self, mut tree: SourceTree, release: &Release) -> Result<SourceTree> {
        for (name, patch) in &self.patches {
            patch.apply(&mut tree).map_err(|rejected| self.refusal(name, &rejected, release))?;
        }
        Ok(tree)
    }

    fn refusal(&self, name: &str, rejected: &Rejected, release: &Release) -> Failure {
        let Rejected { path, hunk, reason } = rejected;
        let place = match hunk {
            Some((number, header)) => format!("hunk {number} ({header}) of {path}"),
            None => path.to_string(),
        };
        Failure::refused(
            file_of(&self.dir, name).as_str(),
            format!("does not apply to the source of {release}: {place}: {reason}"),
        )
        .remedy(format!(
            "fix the patch, or copy {} to {} and fix it there for this kernel",
            self.dir,
            self.dir.with_file_name(release.as_str().split(['+', '-']).next().unwrap_or_default())
        ))
    }
}

/// The file of the patch `name` in the series of the line `dir`.
fn file_of(dir: &Utf8Path, name: &str) -> Utf8PathBuf {
    let all = dir.parent().filter(|_| name.contains('/'));
    all.unwrap_or(dir).join(name)
}

/// The longest of `lines` with which a release begins, ending at the end of a number or word.
pub fn choose<'a>(lines: &'a [String], release: &Release) -> Option<&'a str> {
    let fits = |line: &&str| {
        let rest = release.as_str().strip_prefix(*line);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let lines = lines.iter().map(String::as_str);
    let best = lines.clone().filter(|line| !line.is_empty()).filter(fits).max_by_key(|line| line.len());
    best.or_else(|| lines.into_iter().find(|line| *line == DEFAULT))
}

/// The names in a series file; otherwise the line that is not one, and why.
pub fn names(text: &str) -> Result<Vec<String>, (usize, String)> {
    let mut names: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(name, _)| name).trim();
        let Some(name) =
            line.strip_suffix(" -p1").map(str::trim_end).or(Some(line)).filter(|name| !name.is_empty())
        else {
            continue;
        };
        let why = refused_path(name)
            .or_else(|| names.iter().any(|other| other == name).then_some("is listed twice"));
        if let Some(why) = why {
            return Err((index + 1, format!("{name:?} {why}")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_line_is_used() {
        let lines = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all =
            lines(&["6.1", "6.12", "6.12.107", "7.2", "7.2.13+deb14", "7.2.13+deb14-cloud-amd64", "default"]);
        for (release, line) in [
            ("6.12.113+deb13-amd64", Some("6.12")),
            ("6.12.107+deb13-amd64", Some("6.12.107")),
            ("6.12.1070+deb13-amd64", Some("6.12")),
            ("6.1.0-40-amd64", Some("6.1")),
            ("7.2.13+deb14-cloud-amd64", Some("7.2.13+deb14-cloud-amd64")),
            ("7.2.13+deb14-rt-amd64", Some("7.2.13+deb14")),
            ("7.2.1+deb14-amd64", Some("7.2")),
            ("7.20.1-amd64", Some("default")),
        ] {
            assert_eq!(choose(&all, &release.parse().unwrap()), line, "{release}");
        }
        assert_eq!(choose(&lines(&["7.2"]), &"7.3.4".parse().unwrap()), None);
    }

    #[test]
    fn a_series_names_files_of_its_directory() {
        let text = "# why\nfirst.patch\n\nsecond.patch -p1 # said\n";
        assert_eq!(names(text).unwrap(), ["first.patch", "second.patch"]);
        for (text, line, reason) in [
            ("a.patch\n../b.patch\n", 2, "leads outside"),
            ("/etc/passwd\n", 1, "absolute"),
            ("a.patch -p0\n", 1, "not a plain path"),
            ("a.patch\na.patch\n", 2, "twice"),
        ] {
            let (at, why) = names(text).unwrap_err();
            assert!(at == line && why.contains(reason), "{text:?}: {at} {why}");
        }
    }

    fn project(patch: &str) -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        fs_err::create_dir_all(path.join("patches/7.2")).unwrap();
        fs_err::write(path.join("patches/7.2/series"), "x.patch\n").unwrap();
        fs_err::write(path.join("patches/7.2/x.patch"), patch).unwrap();
        (dir, path)
    }

    #[test]
    fn a_patch_that_does_not_apply_is_refused_with_patch_file_and_hunk() {
        let (_dir, project) = project("--- a/fs/f\n+++ b/fs/f\n@@ -1 +1 @@\n-a\n+b\n");
        let release: Release = "7.2.13+deb14-amd64".parse().unwrap();
        let series = Series::open(&project, &release).unwrap().unwrap();
        let tree = |text: &str| SourceTree::from([("fs/f".into(), text.as_bytes().to_vec())]);
        assert_eq!(series.apply(tree("a\n"), &release).unwrap(), tree("b\n"));
        let error = series.apply(tree("c\n"), &release).unwrap_err();
        assert_eq!(report::failure::exit_of(&error), report::failure::Exit::Refused);
        let text = error.to_string();
        assert!(text.contains("7.2/x.patch") && text.contains("hunk 1 (@@ -1 +1 @@) of fs/f"), "{text}");
        assert!(Series::open(&project, &"6.12.1".parse().unwrap()).unwrap_err().to_string().contains("7.2"));
        assert!(Series::open(&project.join("patches"), &release).unwrap().is_none());
        // A line that shares the patch of the other.
        fs_err::create_dir(project.join("patches/7.2.14")).unwrap();
        fs_err::write(project.join("patches/7.2.14/series"), "7.2/x.patch\n").unwrap();
        let newer: Release = "7.2.14+deb14-amd64".parse().unwrap();
        let shared = Series::open(&project, &newer).unwrap().unwrap();
        assert_eq!(shared.apply(tree("a\n"), &newer).unwrap(), tree("b\n"));
        let text = shared.apply(tree("c\n"), &newer).unwrap_err().to_string();
        assert!(text.contains("patches/7.2/x.patch"), "{text}");
        // A kernel that needs no patch.
        fs_err::create_dir(project.join("patches/7.2.13")).unwrap();
        fs_err::write(project.join("patches/7.2.13/series"), "# nothing\n").unwrap();
        let none = Series::open(&project, &release).unwrap().unwrap();
        assert_eq!(none.apply(tree("c\n"), &release).unwrap(), tree("c\n"));
    }
}
