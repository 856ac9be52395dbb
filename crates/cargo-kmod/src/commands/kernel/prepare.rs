// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel prepare`.

use std::borrow::Cow;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use deploy::librust::open::open;
use kernel::context::Context;
use kernel::discover;
use kernel::from_source::{self, FromSource};
use kernel::origin::Origin;
use kernel::prepare::{self, Prepared, Rust};
use kernel::sanitizing::stands_for;
use kernel::workers;
use kmodfile::release::Release;
use report::failure::Failure;

use super::source::SourceArgs;

/// `cargo kmod kernel prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The kernels, as `uname -r` prints them [default: the newest cloud kernel with Rust]
    ///
    /// Of several, as many are made at the same time as --jobs allows; one that fails does not stop
    /// the others.
    #[arg(value_name = "RELEASE")]
    releases: Vec<Release>,
    /// Take the Rust artefacts from this package (.deb or .rpm of cargo kmod kernel package)
    /// instead of making them; they are proven all the same
    #[arg(long, value_name = "FILE", requires = "releases", conflicts_with = "source")]
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
        return from_the_users(context, &from);
    }
    let kernels = asked(args)?;
    if context.dry_run {
        return kernels.iter().try_for_each(|kernel| would(context, args, *kernel));
    }
    let prepared = workers::each(&kernels, context.jobs, |kernel| one(context, args, *kernel));
    let mut failed = None;
    let mut ready = Vec::new();
    for result in prepared {
        match result {
            Ok(prepared) => ready.push(prepared),
            Err(error) if failed.is_none() => failed = Some(error),
            Err(error) => context.report.warn(&format!("{error:#}")),
        }
    }
    show(context, &ready, kernels.len() > 1);
    failed.map_or(Ok(()), Err)
}

/// The kernels asked for, each once; none is the default one.
fn asked(args: &PrepareArgs) -> Result<Vec<Option<&Release>>, Failure> {
    let mut kernels: Vec<Option<&Release>> = Vec::new();
    for release in &args.releases {
        if !kernels.contains(&Some(release)) {
            kernels.push(Some(release));
        }
    }
    if kernels.is_empty() {
        kernels.push(None);
    }
    match &args.from {
        Some(from) if kernels.len() > 1 => {
            Err(Failure::usage(format!("--from {from}"), "holds the artefacts of one kernel")
                .remedy("name that kernel alone"))
        }
        _ => Ok(kernels),
    }
}

/// A kernel from a source of the user's.
fn from_the_users(context: &Context, from: &FromSource) -> Result<()> {
    if context.dry_run {
        from_source::check(from)?;
        context.report.say(&format!("would make a kernel from {}", from.source));
        return Ok(());
    }
    let prepared = from_source::prepare(context, from, context.root_fs)?;
    show(context, &[prepared], false);
    Ok(())
}

/// Whether a sanitizing kernel is asked for, and the kernel of the archive's that is to be made, or
/// that it stands for.
fn meant<'a>(args: &PrepareArgs, release: Option<&'a Release>) -> (bool, Option<Cow<'a, Release>>) {
    match release.and_then(stands_for) {
        Some(of) => (true, Some(Cow::Owned(of))),
        None => (args.sanitize, release.map(Cow::Borrowed)),
    }
}

fn would(context: &Context, args: &PrepareArgs, release: Option<&Release>) -> Result<()> {
    let (sanitize, release) = meant(args, release);
    if let Some(release) = release.as_deref().filter(|_| !sanitize) {
        prepare::require_from_archive(&context.cache, release)?;
    }
    let (_, kernel) = discover::named_or_default(context, release.as_deref())?;
    let built = if sanitize { "build the sanitizing kernel of" } else { "prepare" };
    context.report.say(&format!("would {built} {} from {}", kernel.release, kernel.suite()));
    Ok(())
}

fn one(context: &Context, args: &PrepareArgs, release: Option<&Release>) -> Result<Prepared> {
    let (sanitize, release) = meant(args, release);
    if let Some(release) = release.as_deref().filter(|_| !sanitize) {
        prepare::require_from_archive(&context.cache, release)?;
    }
    let (archive, kernel) = discover::named_or_default(context, release.as_deref())?;
    let root_fs = context.root_fs;
    match &args.from {
        _ if sanitize => prepare::prepare_sanitizing(context, &*archive, &kernel, Rust::Optional),
        None => prepare::prepare(context, &*archive, &kernel, root_fs),
        Some(file) => {
            let supply = open(context, file)?;
            prepare::prepare_from(context, &*archive, &kernel, root_fs, &supply)
        }
    }
}

/// What was prepared: in JSON one kernel, or a list where several were asked for.
fn show(context: &Context, prepared: &[Prepared], several: bool) {
    let results: Vec<PreparedKernel> = prepared.iter().map(PreparedKernel::of).collect();
    match results.as_slice() {
        [one] if !several => context.report.data(one),
        [] if !several => {}
        all => context.report.data(&all),
    }
    prepared.iter().for_each(|prepared| say(context, prepared));
}

impl PreparedKernel {
    fn of(prepared: &Prepared) -> Self {
        let stamp = prepared.kdir.stamp();
        Self {
            release: stamp.release.clone(),
            kdir: prepared.kdir.build(),
            build_root: prepared.root.name().to_owned(),
            rust_symbols: stamp.rust_symbols,
            seconds: stamp.seconds,
            make_seconds: stamp.make_seconds,
        }
    }
}

fn say(context: &Context, prepared: &Prepared) {
    let stamp = prepared.kdir.stamp();
    let rust = match (stamp.rust_symbols, &stamp.origin) {
        (0, _) => "none".to_owned(),
        (symbols, Origin::Source { whole: false, .. }) => symbols.to_string(),
        (symbols, _) => format!("{symbols} of {symbols} proven equal"),
    };
    context.report.say(&format!(
        "{}\n  KDIR          {}\n  build root    {}\n  Rust symbols  {rust}",
        stamp.release,
        prepared.kdir.build(),
        prepared.root.name()
    ));
}
