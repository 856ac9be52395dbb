// SPDX-License-Identifier: GPL-2.0
//! What one flavour of a kernel has in common with another that is prepared: the programs that
//! build modules, generated headers, and the libraries that macros are made of. The other's build
//! tree is copied without the rest of its Rust part, and make, which notes the command and the
//! inputs of each file that it makes, makes again what differs: as after a change of the
//! configuration.
//!
//! Nothing rests on that but time: what comes of it is proven like any other kernel.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::artefacts::{is_of_every_flavour, note_of};
use crate::context::Context;
use crate::kdir::{Kdir, build_of, lock_name};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::cache::Lock;
use report::process::Cmd;

/// A prepared kernel whose build tree another begins with.
#[derive(Debug)]
pub(crate) struct Seed {
    kdir: Kdir,
    /// Keeps it from being removed meanwhile.
    _used: Lock,
}

impl Seed {
    /// A prepared kernel that was made of the source at `source`, by the tools that `tools`
    /// identifies. One that somebody removes or makes at this moment is not waited for.
    pub(crate) fn find(
        context: &Context,
        source: &Utf8Path,
        tools: &str,
        architecture: Architecture,
    ) -> Option<Self> {
        let kdirs = Kdir::all_quietly(&context.cache);
        let same = |kdir: &Kdir| {
            let stamp = kdir.stamp();
            let made = stamp.origin.is_archive();
            made && stamp.tools == tools && stamp.architecture == architecture && kdir.source() == source
        };
        kdirs.into_iter().filter(same).find_map(|kdir| {
            let used = context.cache.try_share(&lock_name(kdir.release())).ok()??;
            // It may have gone before the lock was taken.
            Kdir::open(&context.cache, kdir.release()).map(|kdir| Self { kdir, _used: used })
        })
    }

    /// Its release.
    pub(crate) fn release(&self) -> &Release {
        self.kdir.release()
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> Result<Config> {
        self.kdir.config()
    }

    /// Copies its build tree to that of the kernel at `place`, which does not exist yet.
    pub(crate) fn plant(&self, place: &Utf8Path, context: &Context) -> Result<()> {
        let (from, into) = (self.kdir.build(), build_of(place));
        fs_err::create_dir_all(&into)?;
        let entries = from.read_dir_utf8()?.map(|entry| Ok(entry?.into_path()));
        let entries = entries.collect::<Result<Vec<Utf8PathBuf>>>()?.into_iter();
        let shared =
            entries.filter(|entry| entry.file_name().is_some_and(|name| !OF_ONE_KERNEL.contains(&name)));
        // Files keep their times, by which make tells what is older than what it was made of.
        let cp = Cmd::new("cp").arg("--archive").args(shared).arg("--target-directory").arg(&into);
        cp.run(&context.report)?;
        let libraries = libraries(&from)?;
        if !libraries.is_empty() {
            let rust = into.join("rust");
            fs_err::create_dir(&rust)?;
            let cp = Cmd::new("cp").arg("--archive").args(libraries).arg("--target-directory").arg(&rust);
            cp.run(&context.report)?;
        }
        let release = into.join("include/config/kernel.release");
        if release.exists() {
            fs_err::remove_file(release)?;
        }
        rename_in_notes(&from, &into)
    }
}

/// The libraries in a build tree that hang on no configuration, and make's notes of them.
fn libraries(build: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let rust = build.join("rust");
    if !rust.exists() {
        return Ok(Vec::new());
    }
    let files = rust.read_dir_utf8()?.map(|entry| Ok(entry?.into_path()));
    let files = files.collect::<Result<Vec<Utf8PathBuf>>>()?;
    let libraries = files.into_iter().filter(|file| is_of_every_flavour(file));
    Ok(libraries.flat_map(|file| [note_of(&file), file]).collect())
}

/// What comes from the packages of one kernel, and what is made of its configuration in ways that
/// make does not note: rustc reads the options from a file, and is not run again when only that has
/// changed, while the hash of each crate is over them.
const OF_ONE_KERNEL: &[&str] = &[".config", "Module.symvers", "vmlinux", "rust"];

/// Make's notes of the tools name the tree by its path; the tools themselves do not.
fn rename_in_notes(from: &Utf8Path, into: &Utf8Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(into) {
        let entry = entry?;
        let is_note = entry.file_name().to_str().is_some_and(|name| name.ends_with(".cmd"));
        if !is_note || !entry.file_type().is_file() {
            continue;
        }
        let Some(path) = Utf8Path::from_path(entry.path()) else { continue };
        let text = fs_err::read_to_string(path)?;
        if text.contains(from.as_str()) {
            let times = entry.metadata()?.modified()?;
            fs_err::write(path, text.replace(from.as_str(), into.as_str()))?;
            fs_err::OpenOptions::new().write(true).open(path)?.file().set_modified(times)?;
        }
    }
    Ok(())
}
