// SPDX-License-Identifier: GPL-2.0
//! Fetches what a project imports: from the source package of exactly the kernel's version, cached
//! by content.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::source::SourceTree;
use crate::source::import::{FILE, ImportList, KernelFiles};
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::package::Package;
use kernel::distribution::{Archive, SourceTar};
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared};
use kernel::sanitizing::stands_for;
use kmodfile::release::Release;
use report::cache::remove_plain;
use report::durable;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use report::process::{self, Cmd};

/// The source package of a kernel, as the cache knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Origin {
    version: String,
    sha256: String,
}

/// The kernel whose source is wanted.
#[derive(Clone, Copy, Debug)]
pub enum SourceKernel<'a> {
    /// A prepared kernel: the source comes from exactly the packages that it was made from.
    Prepared(&'a Prepared),
    /// A kernel that need not be prepared.
    Named(&'a Release),
}

impl<'a> SourceKernel<'a> {
    /// Its release.
    pub fn release(self) -> &'a Release {
        match self {
            Self::Prepared(prepared) => prepared.kdir.release(),
            Self::Named(release) => release,
        }
    }
}

/// The files named in `import`, as they are in the kernel's source.
pub fn provide(context: &Context, kernel: SourceKernel<'_>, import: &ImportList) -> Result<SourceTree> {
    match kernel {
        SourceKernel::Prepared(prepared) => of_prepared(context, prepared, import),
        SourceKernel::Named(release) => of_release(context, release, import),
    }
}

/// Those of the files named in `import` that are in the source of `release`. Nothing is cached, as
/// this is for finding out what to import.
pub fn provide_some(context: &Context, release: &Release, import: &ImportList) -> Result<SourceTree> {
    let (archive, kernel) = discover::named(context, release)?;
    let source = archive.source(&kernel)?;
    archive.provide(&[source], &context.report)?;
    let what = format!("the source {} {}", source.name, source.version);
    let step = context.report.step("Searching", &what);
    let tar = archive.source_tar(source, release)?;
    tar.show_on(&step);
    // There is more room in the cache, which a dry run leaves alone.
    let dir = if context.dry_run { tempfile::tempdir()? } else { tempfile::tempdir_in(context.cache.dir())? };
    let dir = Utf8Path::from_path(dir.path()).context("the cache's path is not UTF-8")?;
    match unpack(context, tar, import, dir) {
        Err(error) if error.to_string().contains(NOT_FOUND) => {}
        unpacked => unpacked?,
    }
    step.done("Searched", &what);
    read(dir, import)
}

/// What tar reports for a name that is not in the archive.
const NOT_FOUND: &str = "Not found in archive";

/// From the source that a prepared kernel was built from.
fn of_prepared(context: &Context, prepared: &Prepared, import: &ImportList) -> Result<SourceTree> {
    if let Some(place) = known(context, &prepared.kdir, import) {
        return read_all(&place, import);
    }
    let sanitizing = stands_for(prepared.kdir.release());
    let release = sanitizing.as_ref().unwrap_or(prepared.kdir.release());
    let (archive, kernel) = discover::named(context, release)?;
    let inputs = &prepared.kdir.stamp().inputs;
    let now = match &sanitizing {
        Some(_) => prepare::inputs_of_sanitizing(&*archive, &kernel, &prepared.root)?,
        None => prepare::inputs_of(&context.cache, &*archive, &kernel, &prepared.root)?,
    };
    if now != *inputs {
        let reason = format!(
            "was prepared from other packages than those that are now in the archive ({})",
            kernel.version()
        );
        return Err(Failure::refused(release.as_str(), reason)
            .remedy(format!("cargo kmod kernel prepare {}", prepared.kdir.release()))
            .into());
    }
    let source = archive.source(&kernel)?;
    let tree = of_package(context, &*archive, release, source, import)?;
    let origin = Origin { version: source.version.clone(), sha256: source.sha256.clone() };
    durable::replace(&origin_file(context, inputs), &serde_json::to_vec(&origin)?)?;
    Ok(tree)
}

fn of_release(context: &Context, release: &Release, import: &ImportList) -> Result<SourceTree> {
    if let Some(place) = Kdir::open(&context.cache, release).and_then(|kdir| known(context, &kdir, import)) {
        return read_all(&place, import);
    }
    let of = stands_for(release);
    let release = of.as_ref().unwrap_or(release);
    let (archive, kernel) = discover::named(context, release)?;
    let source = archive.source(&kernel)?;
    of_package(context, &*archive, release, source, import)
}

/// The directory with the import for a prepared kernel, if it is cached: then the archive is not
/// needed. A kernel's inputs are the packages that it was made from, so the corresponding source
/// never changes.
fn known(context: &Context, kdir: &Kdir, import: &ImportList) -> Option<Utf8PathBuf> {
    let json = fs_err::read(origin_file(context, &kdir.stamp().inputs)).ok()?;
    let origin: Origin = serde_json::from_slice(&json).ok()?;
    Some(place_of(context, &origin.sha256, import)).filter(|place| place.exists())
}

fn origin_file(context: &Context, inputs: &str) -> Utf8PathBuf {
    context.cache.path("imports/origins").join(inputs)
}

fn of_package(
    context: &Context,
    archive: &dyn Archive,
    release: &Release,
    source: &Package,
    import: &ImportList,
) -> Result<SourceTree> {
    let place = place_of(context, &source.sha256, import);
    let name = place.file_name().unwrap_or_default();
    let _lock = context.cache.lock(&format!("import {name}"), &context.report)?;
    if !place.exists() {
        archive.provide(&[source], &context.report)?;
        context.require_wet_run("unpack the kernel's source")?;
        let what = format!("from the source {} {}", source.name, source.version);
        let step = context.report.step("Importing", &what);
        let tar = archive.source_tar(source, release)?;
        tar.show_on(&step);
        let partial = context.cache.partial(&place, &context.report, remove_plain)?;
        let unpacked = unpack(context, tar, import, &partial).or_else(|error| {
            // tar has unpacked the others, so the missing one can be named.
            let not_found = error.to_string().contains(NOT_FOUND);
            if not_found { read_all(&partial, import).and(Err(error)) } else { Err(error) }
        });
        unpacked.inspect_err(|_| {
            fs_err::remove_dir_all(&partial).ok();
        })?;
        durable::publish(&partial, &place)?;
        step.done("Imported", &what);
    }
    read_all(&place, import)
}

/// The directory where these files of this source are cached.
fn place_of(context: &Context, source: &str, import: &ImportList) -> Utf8PathBuf {
    let wanted = import.kernel.iter().map(KernelFiles::as_str);
    let print = Fingerprint::new("import", 1).text("source", source).list("wanted", wanted).hex();
    context.cache.path("imports").join(&print[..32])
}

/// Unpacks only the wanted files of the source package to `into`.
fn unpack(context: &Context, source: SourceTar, import: &ImportList, into: &Utf8Path) -> Result<()> {
    let SourceTar { mut commands, top, .. } = source;
    let (patterns, plain): (Vec<_>, Vec<_>) =
        import.kernel.iter().partition(|wanted| wanted.pattern().is_some());
    let inside = |wanted: &&KernelFiles| format!("{top}/{}", wanted.as_str());
    let tar = Cmd::new("tar")
        .args(["--extract", "--no-same-owner", "--strip-components=1", "--directory"])
        .arg(into)
        .arg("--no-wildcards")
        .args(plain.iter().map(inside))
        .args(["--wildcards", "--no-wildcards-match-slash"])
        .args(patterns.iter().map(inside))
        .env("LC_ALL", "C.UTF-8");
    commands.push(tar);
    process::pipeline(&commands, &context.report)
}

/// Reads imported files, all of which must exist.
fn read_all(place: &Utf8Path, import: &ImportList) -> Result<SourceTree> {
    let tree = read(place, import)?;
    let stands_for_none = |wanted: &&KernelFiles| !tree.keys().any(|path| wanted.covers(path));
    match import.kernel.iter().find(stands_for_none) {
        None => Ok(tree),
        Some(wanted) => {
            Err(Failure::refused(format!("{FILE}: {}", wanted.as_str()), "is not in the kernel's source")
                .remedy("correct the name, or make another version of the project for this kernel")
                .into())
        }
    }
}

/// Reads imported files. Only files that are named are read, and all must be regular files.
fn read(place: &Utf8Path, import: &ImportList) -> Result<SourceTree> {
    let mut tree = SourceTree::new();
    for entry in WalkDir::new(place) {
        let entry = entry?;
        let path = Utf8Path::from_path(entry.path()).context("a file name is not UTF-8")?;
        let inner = path.strip_prefix(place)?;
        if entry.file_type().is_dir() || !import.kernel.iter().any(|wanted| wanted.covers(inner)) {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(Failure::refused(inner.as_str(), "is not a regular file in the kernel's source")
                .remedy("name other files in import.toml")
                .into());
        }
        tree.insert(inner.to_owned(), fs_err::read(path)?);
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_that_are_named_are_imported_and_each_name_must_match() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(place.join("fs/a")).unwrap();
        fs_err::write(place.join("fs/a/x.c"), "x").unwrap();
        fs_err::write(place.join("fs/other.c"), "x").unwrap();
        let import = |text| ImportList::parse(text).unwrap();
        let tree = read_all(place, &import("kernel = [\"fs/a\"]")).unwrap();
        assert_eq!(tree.into_keys().collect::<Vec<_>>(), ["fs/a/x.c"]);
        let error = read_all(place, &import("kernel = [\"fs/a\", \"fs/b\"]")).unwrap_err().to_string();
        assert!(error.contains("fs/b: is not in the kernel's source"), "{error}");
        std::os::unix::fs::symlink("/etc/passwd", place.join("fs/a/link")).unwrap();
        let error = read(place, &import("kernel = [\"fs/a\"]")).unwrap_err().to_string();
        assert!(error.contains("fs/a/link: is not a regular file"), "{error}");
    }
}
