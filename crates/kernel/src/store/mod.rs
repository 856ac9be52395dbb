// SPDX-License-Identifier: GPL-2.0
//! A store of prepared kernels: made once, fetched by every machine that has the same place for
//! them.
//!
//! ```text
//! kernels/KEY.json      what a kernel was made from, and which file holds it
//! files/SHA256.tar.zst  the file, named by what is in it
//! ```
//!
//! A kernel tree knows its own path, so the key is over what it was prepared from and where it is.
//! Its source, which flavours share, and its build root are of the distribution's archive, and each
//! machine has its own. Who can write to a store can give modules to all that read it.

mod entry;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use report::cache::remove_plain;
use report::durable;
use report::failure::Failure;
use report::size;

use crate::context::Context;
use crate::kdir::{Kdir, erase};
use entry::{StoredKernel, key, pack, unpack};
use kmodfile::release::Release;

use crate::store_place::StorePlace;

/// Fetches a kernel, if there is a store and it has the kernel. What is wrong with the store or
/// the entry is said, and the kernel is to be prepared. The caller holds the kernel's lock.
pub(crate) fn fetch_or_say(context: &Context, release: &Release, inputs: &str) -> bool {
    let Some(store) = &context.store else { return false };
    fetch(context, store, release, inputs).unwrap_or_else(|error| {
        context.report.warn(&format!("{error:#}; kernel {release} is prepared here instead"));
        false
    })
}

/// Puts a kernel that was prepared here into the store, if there is one. That it cannot be is said.
pub(crate) fn keep_or_say(context: &Context, release: &Release, inputs: &str) {
    let Some(store) = &context.store else { return };
    if let Err(error) = keep(context, store, release, inputs) {
        context.report.warn(&format!("{error:#}; kernel {release} is not in the store"));
    }
}

/// The kernel of this release, prepared from `inputs`, if the store has it: in its place
/// afterwards, whole, or nothing is changed. The caller holds the kernel's lock.
///
/// # Errors
///
/// Refused, with what is wrong with the entry; the kernel is to be prepared then.
fn fetch(context: &Context, store: &StorePlace, release: &Release, inputs: &str) -> Result<bool> {
    let place = Kdir::place_of(&context.cache, release);
    let name = format!("kernels/{}.json", key(inputs, &place));
    let scratch = scratch(context)?;
    let manifest = scratch.path().join("manifest.json");
    if !store.get(&context.report, &name, &manifest)? {
        return Ok(false);
    }
    let entry = StoredKernel::read(&manifest, &name)?;
    entry.require(release, inputs, &place)?;
    let step =
        context.report.step("Fetching", &format!("kernel {release} ({}) from {store}", size(entry.size)));
    let file = scratch.path().join("kernel.tar.zst");
    if !store.get(&context.report, &entry.file(), &file)? {
        return Err(
            Failure::refused(entry.file(), format!("is named by {name}, and is not in {store}")).into()
        );
    }
    entry.require_content(&file)?;
    let partial = context.cache.partial(&place, &context.report, remove_plain)?;
    let laid_out = unpack(context, &file, &partial).and_then(|()| put(&partial, &place));
    laid_out.inspect_err(|_| drop(fs_err::remove_dir_all(&partial)))?;
    step.done("Fetched", &format!("kernel {release} from {store}"));
    Ok(true)
}

/// What was in its place is none that is used: the caller has looked.
fn put(partial: &Utf8Path, place: &Utf8Path) -> Result<()> {
    if place.exists() {
        erase(place).or_else(|_| remove_plain(place))?;
    }
    durable::publish(partial, place)
}

/// Puts a prepared kernel into the store, unless it is there.
///
/// # Errors
///
/// If it cannot be written there; the kernel is prepared all the same.
fn keep(context: &Context, store: &StorePlace, release: &Release, inputs: &str) -> Result<()> {
    let place = Kdir::place_of(&context.cache, release);
    let name = format!("kernels/{}.json", key(inputs, &place));
    let scratch = scratch(context)?;
    if store.get(&context.report, &name, &scratch.path().join("manifest.json"))? {
        return Ok(());
    }
    let step = context.report.step("Storing", &format!("kernel {release} in {store}"));
    let file = scratch.path().join("kernel.tar.zst");
    let entry = pack(context, release, inputs, &place, &file)?;
    // The file first: what names it has to be right from the beginning.
    store.put(&context.report, &file, &entry.file())?;
    let manifest = scratch.path().join("new.json");
    fs_err::write(&manifest, serde_json::to_vec_pretty(&entry)?)?;
    store.put(&context.report, &manifest, &name)?;
    step.done("Stored", &format!("kernel {release} ({}) in {store}", size(entry.size)));
    Ok(())
}

/// A directory on the disk that kernels are on: what is fetched is large.
fn scratch(context: &Context) -> Result<ScratchDir> {
    let dir = context.cache.path("store");
    fs_err::create_dir_all(&dir)?;
    let dir = tempfile::Builder::new().prefix("kernel-").tempdir_in(dir)?;
    let path = Utf8Path::from_path(dir.path()).context("its path is no UTF-8")?.to_owned();
    Ok(ScratchDir { _dir: dir, path })
}

struct ScratchDir {
    _dir: tempfile::TempDir,
    path: camino::Utf8PathBuf,
}

impl ScratchDir {
    fn path(&self) -> &Utf8Path {
        &self.path
    }
}
