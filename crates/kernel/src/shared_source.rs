// SPDX-License-Identifier: GPL-2.0
//! Sources in the cache: each is unpacked once, for all flavours of its version.

use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::distribution::Archive;
use crate::distribution::package::Package;
use crate::source::{self, Extent};
use kmodfile::release::Release;
use report::cache::{Lock, partial_name, remove_plain};
use report::durable;
use report::fingerprint::Fingerprint;

/// A source package that is unpacked.
#[derive(Clone, Debug)]
pub struct SharedSource {
    path: Utf8PathBuf,
    /// Keeps it from being removed meanwhile.
    _used: Arc<Lock>,
}

impl SharedSource {
    /// The source in `package`: from the cache, or unpacked now by one run while others wait. Call
    /// [`Archive::provide`] first.
    pub(crate) fn provide(
        context: &Context,
        archive: &dyn Archive,
        package: &Package,
        release: &Release,
        extent: Extent,
    ) -> Result<Self> {
        let name = name(archive, package, release, extent);
        let path = context.cache.path("sources").join(&name);
        let lock_name = lock_name(&name);
        loop {
            let used = Arc::new(context.cache.share(&lock_name, &context.report)?);
            if path.exists() {
                return Ok(Self { path, _used: used });
            }
            drop(used);
            let _lock = context.cache.lock(&lock_name, &context.report)?;
            if !path.exists() {
                unpack(context, archive, package, release, extent, &path)?;
            }
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().unwrap_or_default()
    }

    /// Where it is. Nothing in it is ever changed.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// The lock on the source of this name.
pub fn lock_name(name: &str) -> String {
    format!("source {name}")
}

/// What is in it tells its name, which make must be able to handle: no version of a package.
fn name(archive: &dyn Archive, package: &Package, release: &Release, extent: Extent) -> String {
    let whole = if extent == Extent::Whole { "-whole" } else { "" };
    let print = Fingerprint::new("shared source", 1).text("package", &package.sha256);
    let hash = print.text("extent", &source::identity(extent)).hex();
    let hash = hash.get(..12).unwrap_or(&hash);
    format!("{}-{hash}-{}{whole}", release.line(), archive.architecture())
}

/// Unpacks beside its place and renames it in: nothing in a source knows its path.
fn unpack(
    context: &Context,
    archive: &dyn Archive,
    package: &Package,
    release: &Release,
    extent: Extent,
    path: &Utf8Path,
) -> Result<()> {
    let report = &context.report;
    let what = format!("source {}", package.version);
    let step = report.step("Unpacking", &what);
    let tar = archive.source_tar(package, release)?;
    tar.show_on(&step);
    let partial = context.cache.partial(path, report, remove_plain)?;
    source::unpack(tar, extent, &partial, report)?;
    debug_assert_eq!(partial, partial_name(path));
    durable::publish(&partial, path)?;
    step.done("Unpacked", &what);
    Ok(())
}
