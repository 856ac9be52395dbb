// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel prepare`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, known};
use kernel::prepare;
use kmodfile::release::Release;

/// `cargo kmod kernel prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The kernel, as `uname -r` prints it [default: the newest cloud-amd64 kernel with Rust]
    release: Option<Release>,
}

#[derive(Serialize)]
struct PreparedKernel {
    release: Release,
    kdir: Utf8PathBuf,
    build_root: String,
    rust_symbols: usize,
    seconds: f64,
    make_seconds: f64,
}

/// Runs it.
pub(super) fn prepare(context: &Context, args: &PrepareArgs) -> Result<()> {
    let release = args.release.as_ref();
    let distribution = known::usual();
    let mut archive = distribution.archive_of(context, Age::Current, release)?;
    let kernel = match release {
        Some(release) => discover::find(&mut *archive, release)?,
        None => discover::default(distribution, &*archive)?,
    };
    if context.dry_run {
        context.report.say(&format!("would prepare {} from {}", kernel.release, kernel.suite()));
        return Ok(());
    }
    let prepared = prepare::prepare(context, &*archive, &kernel, context.root_fs)?;
    let stamp = prepared.kdir.stamp();
    let result = PreparedKernel {
        release: stamp.release.clone(),
        kdir: prepared.kdir.build(),
        build_root: prepared.root.name().to_owned(),
        rust_symbols: stamp.rust_symbols,
        seconds: stamp.seconds,
        make_seconds: stamp.make_seconds,
    };
    context.report.data(&result);
    context.report.say(&format!(
        "{}\n  KDIR          {}\n  build root    {}\n  Rust symbols  {} of {} proven equal",
        result.release, result.kdir, result.build_root, result.rust_symbols, result.rust_symbols
    ));
    Ok(())
}
