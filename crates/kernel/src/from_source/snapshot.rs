// SPDX-License-Identifier: GPL-2.0
//! The cache's copy of a source that the user named: made once, only read from then on, and shared
//! by all kernels that are made of it.

use std::fs::File;
use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use crate::distribution::SourceTar;
use crate::from_source::given::{GivenSource, require_kernel};
use crate::from_source::tarball;
use crate::shared_source::lock_name;
use crate::source::{self, Extent};
use report::cache::{Lock, remove_plain};
use report::durable;
use report::failure::Failure;
use report::process::Cmd;

/// A copy that is whole; it stays while this value does.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The source's top directory.
    pub(super) tree: Utf8PathBuf,
    _used: Lock,
}

impl Snapshot {
    /// The copy of `given`, which is known by `identity`; made if need be. A whole one serves
    /// modules as well.
    pub(super) fn provide(
        context: &Context,
        given: &GivenSource,
        identity: &str,
        extent: Extent,
    ) -> Result<Self> {
        if let Some(whole) = Self::made(context, &name(identity, Extent::Whole))? {
            return Ok(whole);
        }
        let name = name(identity, extent);
        loop {
            if let Some(made) = Self::made(context, &name)? {
                return Ok(made);
            }
            let _lock = context.cache.lock(&lock_name(&name), &context.report)?;
            let place = context.cache.path("sources").join(&name);
            if !place.exists() {
                make(context, given, identity, extent, &place)?;
            }
        }
    }

    fn made(context: &Context, name: &str) -> Result<Option<Self>> {
        let tree = context.cache.path("sources").join(name);
        if !tree.exists() {
            return Ok(None);
        }
        let used = context.cache.share(&lock_name(name), &context.report)?;
        Ok(tree.exists().then(|| Self { tree, _used: used }))
    }
}

/// Beside the distribution's sources, and not to be taken for one.
fn name(identity: &str, extent: Extent) -> String {
    match extent {
        Extent::Whole => format!("given-{identity}-whole"),
        Extent::ForModules(architecture) => {
            let extent = source::identity(extent);
            format!("given-{identity}-{architecture}-{}", extent.get(..6).unwrap_or(&extent))
        }
    }
}

/// Copies, beside its place, and renames in.
fn make(
    context: &Context,
    given: &GivenSource,
    identity: &str,
    extent: Extent,
    place: &Utf8Path,
) -> Result<()> {
    context.require_wet_run(&format!("unpack {}", given.path()))?;
    let report = &context.report;
    let partial = context.cache.partial(place, report, remove_plain)?;
    let what = format!("source {}", given.path());
    let step = report.step("Unpacking", &what);
    let copied = match given {
        GivenSource::Tarball(file, compression) => {
            tarball::unpack(file, *compression, extent, &partial, &step)
        }
        GivenSource::Directory(dir) => copy(context, dir, extent, &partial),
    };
    copied.and_then(|()| Ok(require_kernel(&partial, given.path())?)).inspect_err(|_| {
        fs_err::remove_dir_all(&partial).ok();
    })?;
    if given.identity(report)? != identity {
        fs_err::remove_dir_all(&partial)?;
        let reason = "was changed while it was read";
        return Err(Failure::refused(given.path().as_str(), reason)
            .remedy("run the same command again")
            .into());
    }
    durable::publish(&partial, place)?;
    step.done("Unpacked", &what);
    Ok(())
}

/// What git knows of it stays behind.
fn copy(context: &Context, dir: &Utf8Path, extent: Extent, into: &Utf8Path) -> Result<()> {
    let pack = Cmd::new("tar").args(["--create", "--exclude=./.git", "--directory"]).arg(dir).arg(".");
    let file = Arc::new(File::open(dir)?);
    source::unpack(
        SourceTar { commands: vec![pack], top: ".".to_owned(), file },
        extent,
        into,
        &context.report,
    )
}
