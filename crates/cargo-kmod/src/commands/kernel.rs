// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel`: list, prepare, remove, gc.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use clap::Subcommand;
use deploy::rpm;
use kernel::context::Context;
use kernel::discover::{self, KernelFacts};
use kernel::distribution::{Age, Archive, ArchiveKernel, known};
use kernel::kdir::Kdir;
use kernel::machine::programs;
use kernel::prepare;
use kernel::root::removal;
use kernel::root::tree::lock_name;
use kmodfile::release::Release;
use report::table;

/// `cargo kmod kernel`.
#[derive(Debug, Subcommand)]
pub enum KernelCommand {
    /// List the archive's kernels, which have Rust, and which are prepared
    List,
    /// Make the tree that Rust modules are built against, and prove it
    ///
    /// Headers and source of the same version are fetched, the Rust artefacts that the
    /// distribution's headers lack are made again with the kernel's own toolchain, and every Rust
    /// symbol that the kernel exports is checked against them. A tree that misses one is refused.
    Prepare {
        /// The kernel, as `uname -r` prints it [default: the newest cloud-amd64 kernel with Rust]
        release: Option<Release>,
    },
    /// Remove a prepared kernel from the cache
    Remove {
        /// The kernel, as `uname -r` prints it
        release: Release,
    },
    /// Remove build roots and packages that no prepared kernel uses
    Gc,
}

/// Runs one of them.
pub fn run(context: &Context, command: &KernelCommand) -> Result<()> {
    // Removing takes no program.
    if !matches!(command, KernelCommand::Remove { .. }) {
        programs::ensure(context, &[known::usual().programs()])?;
    }
    match command {
        KernelCommand::List => list(context),
        KernelCommand::Prepare { release } => prepare(context, release.as_ref()),
        KernelCommand::Remove { release } => prepare::remove(context, release),
        KernelCommand::Gc => gc(context),
    }
}

/// A row of the list.
#[derive(Serialize)]
struct Row {
    release: Release,
    suite: String,
    version: String,
    prepared: bool,
    default: bool,
    /// Whether the distribution signed its image, so that a machine with Secure Boot boots it.
    image_signed: bool,
    #[serde(flatten)]
    facts: KernelFacts,
}

fn list(context: &Context) -> Result<()> {
    let distribution = known::usual();
    let archive = distribution.archive(context, Age::Current)?;
    let kernels = archive.kernels();
    archive.fetch_configs(&kernels)?;
    let mut rows =
        kernels.iter().map(|kernel| row(context, &*archive, kernel)).collect::<Result<Vec<_>>>()?;
    let is_default = |row: &Row| row.facts.rust && row.release.flavour() == distribution.default_flavour();
    if let Some(row) = rows.iter_mut().find(|row| is_default(row)) {
        row.default = true;
    }
    context.report.data(&rows);
    context.report.say(&shown(&rows));
    Ok(())
}

fn row(context: &Context, archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<Row> {
    Ok(Row {
        prepared: Kdir::open(&context.cache, &kernel.release).is_some(),
        default: false,
        image_signed: archive.image_is_signed(&kernel.release),
        release: kernel.release.clone(),
        suite: kernel.suite().to_owned(),
        version: kernel.version().to_owned(),
        facts: KernelFacts::of(&archive.config(kernel)?),
    })
}

fn shown(rows: &[Row]) -> String {
    let head = ["", "RELEASE", "SUITE", "RUST", "COMPILER", "MODVERSIONS", "SIGNED", "PREPARED"];
    let head = head.map(str::to_owned).to_vec();
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let cells = |row: &Row| {
        vec![
            if row.default { "*" } else { "" }.to_owned(),
            row.release.to_string(),
            row.suite.clone(),
            row.facts
                .rustc
                .as_ref()
                .map_or_else(|| yes(row.facts.rust), |version| format!("rustc {version}")),
            row.facts.compiler.rsplit("gnu-").next().unwrap_or_default().to_owned(),
            yes(row.facts.modversions),
            yes(row.image_signed),
            yes(row.prepared),
        ]
    };
    let table = table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>());
    format!(
        "{table}\n\n* is used where no --kernel is given. SIGNED: the distribution signed its image, and a machine with Secure \
         Boot boots it."
    )
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

fn prepare(context: &Context, release: Option<&Release>) -> Result<()> {
    let distribution = known::usual();
    let mut archive = distribution.archive(context, Age::Current)?;
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

/// Build roots that no prepared kernel names, half-made things, and fetched packages.
fn gc(context: &Context) -> Result<()> {
    let mut freed = unused_roots(context)?;
    freed.extend(fetched_packages(context)?);
    context.report.data(&freed);
    let verb = if context.dry_run { "would remove" } else { "removed" };
    freed.iter().for_each(|path| context.report.say(&format!("{verb} {path}")));
    Ok(())
}

/// Removes the build roots that no prepared kernel uses, and gives their places.
fn unused_roots(context: &Context) -> Result<Vec<Utf8PathBuf>> {
    let mut used = Vec::new();
    for kdir in Kdir::all(&context.cache, &context.report) {
        used.extend([kdir.stamp().recipe.identity(), rpm::ready::recipe(&kdir)?.identity()]);
    }
    let mut freed = Vec::new();
    for entry in context.cache.path("roots").read_dir_utf8().into_iter().flatten() {
        let entry = entry?;
        let identity = entry.file_name().trim_end_matches(".partial");
        if used.iter().any(|used| used == entry.file_name()) {
            continue;
        }
        let Some(_lock) = context.cache.try_lock(&lock_name(identity))? else {
            context.report.note("Keeping", &format!("{}: another run uses it", entry.path()));
            continue;
        };
        if !context.dry_run {
            removal::remove(context, entry.path())?;
        }
        freed.push(entry.path().to_owned());
    }
    Ok(freed)
}

/// Removes packages that were fetched, of which everything is kept that was made of them, and gives
/// their places.
fn fetched_packages(context: &Context) -> Result<Vec<Utf8PathBuf>> {
    let fetched = known::ALL.iter().flat_map(|distribution| distribution.fetched());
    let mut fetched: Vec<Utf8PathBuf> = fetched.map(|dir| context.cache.path(dir)).collect();
    fetched.retain(|dir| dir.exists());
    if !fetched.is_empty() && !context.dry_run {
        let _lock = context.cache.lock("archive", &context.report)?;
        fetched.iter().try_for_each(fs_err::remove_dir_all)?;
    }
    Ok(fetched)
}
