// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel prepare`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use deploy::librust::open::open;
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Archive, ArchiveKernel};
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
    /// Of several, up to three are made at the same time, fewer with fewer --jobs; one that fails
    /// does not stop the others.
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
    /// Prepare a kernel without Rust as well, for modules in C
    #[arg(long, conflicts_with_all = ["source", "from"])]
    for_c: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Kernels that are made at the same time, at most: each takes a gigabyte.
const AT_ONCE: usize = 3;

/// So many processors one of them keeps busy: all while it compiles C, one while it compiles Rust.
/// On two, three flavours one after another, each beginning with what the one before has, take 227
/// s; two of them at a time 243 s.
const BUSY: usize = 2;

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
        return kernels.iter().try_for_each(|kernel| would(context, kernel));
    }
    let workers = (context.jobs / BUSY).clamp(1, AT_ONCE);
    let prepared = workers::each(&kernels, workers, |kernel| one(context, args, kernel));
    let (ready, first_error) = workers::parted(prepared, &context.report);
    show(context, &ready, kernels.len() > 1);
    first_error.map_or(Ok(()), Err)
}

/// A kernel of the archive's that is to be prepared, or that the sanitizing one to be built stands
/// for; without a release it is the default one.
#[derive(PartialEq)]
struct PreparationOrder {
    release: Option<Release>,
    sanitize: bool,
}

/// The kernels asked for, each once, in their order.
fn asked(args: &PrepareArgs) -> Result<Vec<PreparationOrder>, Failure> {
    let named = args.releases.iter().map(|release| match stands_for(release) {
        Some(of) => PreparationOrder { release: Some(of), sanitize: true },
        None => PreparationOrder { release: Some(release.clone()), sanitize: args.sanitize },
    });
    let mut kernels: Vec<PreparationOrder> = Vec::new();
    for kernel in named {
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    if kernels.is_empty() {
        kernels.push(PreparationOrder { release: None, sanitize: args.sanitize });
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

/// The kernel as the archive has it.
fn of_archive<'a>(
    context: &'a Context,
    order: &PreparationOrder,
) -> Result<(Box<dyn Archive + 'a>, ArchiveKernel)> {
    if let Some(release) = order.release.as_ref().filter(|_| !order.sanitize) {
        prepare::require_from_archive(&context.cache, release)?;
    }
    discover::named_or_default(context, order.release.as_ref())
}

fn would(context: &Context, order: &PreparationOrder) -> Result<()> {
    let (_, kernel) = of_archive(context, order)?;
    let built = if order.sanitize { "build the sanitizing kernel of" } else { "prepare" };
    context.report.say(&format!("would {built} {} from {}", kernel.release, kernel.suite()));
    Ok(())
}

fn one(context: &Context, args: &PrepareArgs, order: &PreparationOrder) -> Result<Prepared> {
    let (archive, kernel) = of_archive(context, order)?;
    let root_fs = context.root_fs;
    match &args.from {
        _ if order.sanitize => prepare::prepare_sanitizing(context, &*archive, &kernel, Rust::Optional),
        None if args.for_c => prepare::provide_for(context, Some(&kernel.release), root_fs, Rust::Optional),
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
