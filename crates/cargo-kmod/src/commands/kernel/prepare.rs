// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel prepare`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use deploy::librust::open::open;
use kernel::context::Context;
use kernel::discover;
use kernel::from_source;
use kernel::origin::Origin;
use kernel::prepare::{self, Prepared, Rust};
use kernel::sanitizing::stands_for;
use kmodfile::release::Release;

use super::source::SourceArgs;

/// `cargo kmod kernel prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The kernel, as `uname -r` prints it [default: the newest cloud kernel with Rust]
    release: Option<Release>,
    /// Take the Rust artefacts from this package (.deb or .rpm of cargo kmod kernel package)
    /// instead of making them; they are proven all the same
    #[arg(long, value_name = "FILE", requires = "release", conflicts_with = "source")]
    from: Option<Utf8PathBuf>,
    /// Build the kernel that stands for it and finds faults: RELEASE-sanitize
    ///
    /// The same source and configuration, built by clang with KASAN, UBSAN, lockdep, kmemleak and
    /// KUnit, and with the drivers of a virtual machine only. It takes some twenty minutes on two
    /// processors, once a release.
    #[arg(long, conflicts_with_all = ["source", "from"])]
    sanitize: bool,
    #[command(flatten)]
    source: SourceArgs,
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
    if let Some(from) = args.source.wanted() {
        if context.dry_run {
            from_source::check(&from)?;
            context.report.say(&format!("would make a kernel from {}", from.source));
            return Ok(());
        }
        let prepared = from_source::prepare(context, &from, context.root_fs)?;
        show(context, &prepared);
        return Ok(());
    }
    let of = args.release.as_ref().and_then(stands_for);
    let release = of.as_ref().or(args.release.as_ref());
    let sanitize = args.sanitize || of.is_some();
    if let Some(release) = release.filter(|_| !sanitize) {
        prepare::require_from_archive(&context.cache, release)?;
    }
    let (archive, kernel) = discover::named_or_default(context, release)?;
    if context.dry_run {
        let built = if sanitize { "build the sanitizing kernel of" } else { "prepare" };
        context.report.say(&format!("would {built} {} from {}", kernel.release, kernel.suite()));
        return Ok(());
    }
    let root_fs = context.root_fs;
    let prepared = match &args.from {
        _ if sanitize => prepare::prepare_sanitizing(context, &*archive, &kernel, Rust::Optional)?,
        None => prepare::prepare(context, &*archive, &kernel, root_fs)?,
        Some(file) => {
            let supply = open(context, file)?;
            prepare::prepare_from(context, &*archive, &kernel, root_fs, &supply)?
        }
    };
    show(context, &prepared);
    Ok(())
}

fn show(context: &Context, prepared: &Prepared) {
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
    let rust = match (stamp.rust_symbols, &stamp.origin) {
        (0, _) => "none".to_owned(),
        (symbols, Origin::Source { whole: false, .. }) => symbols.to_string(),
        (symbols, _) => format!("{symbols} of {symbols} proven equal"),
    };
    context.report.say(&format!(
        "{}\n  KDIR          {}\n  build root    {}\n  Rust symbols  {rust}",
        result.release, result.kdir, result.build_root
    ));
}
