// SPDX-License-Identifier: GPL-2.0
//! An imported and patched source tree for editing, and how the edit becomes part of the patch
//! series.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::Project;
use crate::build::place_of;
use crate::source::fetch::{self, SourceKernel};
use crate::source::patch::Patch;
use crate::source::series::{self, Series};

use crate::source::{SourceTree, difference, import, refused_path};
use crate::stage::{LIST, Sources, is_source};
use crate::target_dir;
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;

/// The default name of the patch for an edit.
pub const DEFAULT_NAME: &str = "edits.patch";

/// What was laid out: the hash of each file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record(BTreeMap<Utf8PathBuf, String>);

/// What a refresh wrote.
#[derive(Debug, Serialize)]
pub struct Refreshed {
    /// The patch; `None` if there was nothing to write.
    pub patch: Option<Utf8PathBuf>,
    /// The files that it changes.
    pub files: Vec<Utf8PathBuf>,
}

impl Record {
    fn of<'a>(files: impl Iterator<Item = (&'a Utf8PathBuf, &'a Vec<u8>)>) -> Self {
        Self(files.map(|(path, content)| (path.clone(), durable::digest(content))).collect())
    }

    fn read(place: &Utf8Path) -> Option<Self> {
        serde_json::from_slice(&fs_err::read(Self::file(place)).ok()?).ok()
    }

    fn write(&self, place: &Utf8Path) -> Result<()> {
        durable::replace(&Self::file(place), &serde_json::to_vec(self)?)
    }

    /// Beside the tree, where it is not edited by mistake.
    fn file(place: &Utf8Path) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("{place}.json"))
    }
}

/// The directory in which the tree of a project for a kernel is laid out.
pub fn place(context: &Context, project: &Project, release: &Release) -> Utf8PathBuf {
    place_of(context, project, release).join("source")
}

/// Lays out the patched source of `project` for editing, and returns its directory. A tree that has
/// been edited is not overwritten.
pub fn lay_out(context: &Context, project: &Project, release: &Release) -> Result<Utf8PathBuf> {
    require_import(project)?;
    let place = place(context, project, release);
    let _lock = context.cache.lock(&format!("source {} for {release}", project.name), &context.report)?;
    let sources = Sources::for_kernel(context, project, SourceKernel::Named(release))?;
    let wanted = Record::of(sources.files());
    if place.exists() {
        let there = Record::of(read(&place)?.iter());
        if there != wanted && Record::read(&place).as_ref() != Some(&there) {
            return Err(Failure::refused(place.as_str(), "has been edited and would be overwritten")
                .remedy(format!(
                    "save the edit with cargo kmod patch refresh {}, or remove the directory",
                    words(project, release)
                ))
                .into());
        }
    }
    target_dir::make(&context.target_of(&project.dir))?;
    sources.write(&place)?;
    wanted.write(&place)?;
    Ok(place)
}

/// Saves the edit of a tree as the patch `name` in the series of its kernel line: as a new patch at
/// the end, or as a new version of the last one.
pub fn refresh(context: &Context, project: &Project, release: &Release, name: &str) -> Result<Refreshed> {
    let import = require_import(project)?;
    require_name(name)?;
    let place = place(context, project, release);
    let _lock = context.cache.lock(&format!("source {} for {release}", project.name), &context.report)?;
    let edited = edited(context, project, release, &place)?;
    let series = Series::open(&project.dir, release)?;
    let dir = match &series {
        Some(series) => series.dir().to_owned(),
        None => project.dir.join(series::DIR).join(release.line()),
    };
    let Some(edited) = edited else { return Ok(Refreshed { patch: None, files: Vec::new() }) };
    let pristine = fetch::provide(context, SourceKernel::Named(release), import)?;
    let base = match series {
        Some(series) => base(series, name)?.apply(pristine, release)?,
        None => pristine,
    };
    let text = difference::patch(&base, &edited);
    let patch = checked(&text, &base, &edited)?;
    let files = patch.paths().cloned().collect();
    let file = dir.join(name);
    if context.dry_run {
        return Ok(Refreshed { patch: Some(file), files });
    }
    write_patch(&file, &text, release)?;
    add_to_series(&dir, name)?;
    let sources = Sources::for_kernel(context, project, SourceKernel::Named(release))?;
    Record::of(sources.files()).write(&place)?;
    Ok(Refreshed { patch: Some(file), files })
}

fn words(project: &Project, release: &Release) -> String {
    format!("--project {} --kernel {release}", project.dir)
}

fn require_import(project: &Project) -> Result<&import::ImportList> {
    project.import.as_ref().ok_or_else(|| {
        let file = project.dir.join(import::FILE);
        Failure::usage(project.dir.as_str(), "does not import kernel source")
            .remedy(format!("give a project with an import.toml, or create {file}"))
            .into()
    })
}

fn require_name(name: &str) -> Result<()> {
    let reason = refused_path(name).or_else(|| name.contains('/').then_some("is not just a file name"));
    match reason.or_else(|| (!name.ends_with(".patch")).then_some("does not end in .patch")) {
        None => Ok(()),
        Some(why) => Err(Failure::usage(format!("--name {name:?}"), why).remedy("--name NAME.patch").into()),
    }
}

/// The imported part of the tree as it is now; `None` if it was not edited.
fn edited(
    context: &Context,
    project: &Project,
    release: &Release,
    place: &Utf8Path,
) -> Result<Option<SourceTree>> {
    let again = format!("cargo kmod build {} --import-only", words(project, release));
    let record = Record::read(place).filter(|_| place.exists()).ok_or_else(|| {
        Failure::refused(place.as_str(), "no source was laid out there").remedy(again.clone())
    })?;
    let now = Sources::for_kernel(context, project, SourceKernel::Named(release))?;
    let imported = Record::of(now.imported().iter());
    if imported.0.iter().any(|(path, hash)| record.0.get(path) != Some(hash)) {
        let reason = "was laid out from another series or source than the current one";
        return Err(Failure::refused(place.as_str(), reason)
            .remedy(format!("save your edits elsewhere, remove the directory, then run: {again}"))
            .into());
    }
    let mut there = read(place)?;
    let own = record.0.keys().filter(|path| !imported.0.contains_key(*path));
    let hashes = Record::of(there.iter());
    for path in own {
        if hashes.0.get(path) != record.0.get(path) {
            return Err(Failure::refused(
                place.join(path).as_str(),
                "is a file of the project, not an imported one",
            )
            .remedy(format!("edit it in {} itself and undo the edit here", project.dir))
            .into());
        }
        there.remove(path);
    }
    Ok((there != *now.imported()).then_some(there))
}

/// The patches before `name`: all, or all but the last one if that is `name`.
fn base(series: Series, name: &str) -> Result<Series> {
    if series.names().next_back() == Some(name) {
        return Ok(series.without_last());
    }
    if series.names().any(|other| other == name) {
        return Err(Failure::refused(
            series.dir().join(name).as_str(),
            "is not the last patch of its series",
        )
        .remedy("only the last patch can be replaced; choose another name for the edit: --name NAME.patch")
        .into());
    }
    Ok(series)
}

/// Reads the patch again and checks that it turns `base` into the edited tree.
fn checked(text: &[u8], base: &SourceTree, edited: &SourceTree) -> Result<Patch> {
    let refuse = |reason: String| {
        Failure::refused("the edit", reason)
            .remedy("a patch cannot contain binary or empty files, nor undo another patch completely")
    };
    let patch = Patch::parse(text).map_err(|unreadable| refuse(unreadable.reason))?;
    let mut made = base.clone();
    patch.apply(&mut made).map_err(|rejected| refuse(format!("{}: {}", rejected.path, rejected.reason)))?;
    if made == *edited { Ok(patch) } else { Err(refuse("cannot be written as a patch".to_owned()).into()) }
}

/// Writes a patch file; the description in an earlier version is kept.
fn write_patch(file: &Utf8Path, text: &[u8], release: &Release) -> Result<()> {
    let earlier = fs_err::read(file).unwrap_or_default();
    let head = earlier.split_inclusive(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"--- "));
    let mut content = head.collect::<Vec<_>>().concat();
    if content.is_empty() {
        content = format!("Edited in the source of {release}.\n\n").into_bytes();
    }
    content.extend(text);
    durable::replace(file, &content)
}

fn add_to_series(dir: &Utf8Path, name: &str) -> Result<()> {
    let file = dir.join("series");
    let mut text = fs_err::read_to_string(&file).unwrap_or_default();
    if series::names(&text).is_ok_and(|names| names.iter().any(|other| other == name)) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("{name}\n"));
    durable::replace(&file, text.as_bytes())
}

/// The files of an edited tree, without what a build has made there, and without copies made by
/// editors.
fn read(place: &Utf8Path) -> Result<SourceTree> {
    let copy =
        |name: &str| [".orig", ".rej", ".swp", "~"].iter().any(|end| name.ends_with(end)) || name == LIST;
    let ours = |path: &Utf8Path| is_source(path) && !path.file_name().is_some_and(copy);
    let mut tree = SourceTree::new();
    let walk = WalkDir::new(place).into_iter();
    for entry in walk.filter_entry(|entry| Utf8Path::from_path(entry.path()).is_some_and(ours)) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).context("a file name is not UTF-8")?;
        if entry.path_is_symlink() {
            return Err(Failure::refused(path.as_str(), "is a symbolic link, which a patch cannot create")
                .remedy("replace it with the file that it points to")
                .into());
        }
        if entry.file_type().is_file() {
            tree.insert(path.strip_prefix(place)?.to_owned(), fs_err::read(path)?);
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_a_plain_file_name() {
        for (name, fine) in
            [("a.patch", true), ("a", false), ("d/a.patch", false), ("../a.patch", false), ("", false)]
        {
            assert_eq!(require_name(name).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn copies_made_by_editors_and_build_products_are_not_edits() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["x.c", "x.c~", "x.c.orig", ".x.c.swp", "x.o", ".x.o.cmd", ".sources"] {
            fs_err::write(dir.path().join(name), "").unwrap();
        }
        let tree = read(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["x.c"]);
    }

    #[test]
    fn the_description_of_a_patch_is_kept_when_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("x.patch");
        let release: Release = "7.2.13".parse().unwrap();
        fs_err::write(&file, "why\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
        write_patch(&file, b"--- a/f\nnew\n", &release).unwrap();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "why\n\n--- a/f\nnew\n");
    }
}
