// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel list`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use kernel::context::Context;
use kernel::discover::KernelFacts;
use kernel::distribution::{Age, Archive, ArchiveKernel, known};
use kernel::installed::adopt::{self, SurveyedKernel};
use kernel::installed::readiness::Obstruction;
use kernel::kdir::Kdir;
use kernel::machine::programs;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::table;

/// `cargo kmod kernel list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only the kernels that are installed on this machine; needs no archive and no network
    #[arg(long)]
    installed: bool,
    /// Architecture of the archive's kernels, amd64 or arm64 [default: this machine's]
    ///
    /// The release of a kernel tells which it is for: any command takes it with --kernel.
    #[arg(long, value_name = "ARCH", value_parser = architecture, conflicts_with = "installed")]
    arch: Option<Architecture>,
}

/// An architecture, by any of its names.
fn architecture(text: &str) -> Result<Architecture, String> {
    let known = || Architecture::ALL.map(Architecture::debian).join(", ");
    Architecture::named(text).ok_or_else(|| format!("kernels are prepared for {}", known()))
}

/// A row of the list.
#[derive(Serialize)]
#[serde(tag = "from", rename_all = "lowercase")]
enum Row {
    Installed(Box<InstalledRow>),
    Archive(Box<ArchiveRow>),
}

/// A kernel of the archive.
#[derive(Serialize)]
struct ArchiveRow {
    release: Release,
    architecture: Architecture,
    suite: String,
    version: String,
    prepared: bool,
    default: bool,
    /// Whether the distribution signed its image, so that a machine with Secure Boot boots it.
    image_signed: bool,
    #[serde(flatten)]
    facts: KernelFacts,
}

/// A kernel of this machine.
#[derive(Serialize)]
struct InstalledRow {
    release: Release,
    running: bool,
    /// Whether it has a bootable image here.
    image: bool,
    prepared: bool,
    c: Buildable,
    rust_modules: Buildable,
    /// What its configuration says, if its headers are there.
    #[serde(flatten)]
    facts: Option<KernelFacts>,
}

/// Whether modules can be built for it now, in a language.
#[derive(Serialize)]
struct Buildable {
    ready: bool,
    #[serde(flatten)]
    obstruction: Option<Obstruction>,
}

/// Runs it.
pub(super) fn list(context: &Context, args: &ListArgs) -> Result<()> {
    let native = Architecture::native().unwrap_or_default();
    let architecture = args.arch.unwrap_or(native);
    let kernels = if architecture == native { adopt::here(&context.report)? } else { Vec::new() };
    let installed: Vec<InstalledRow> = kernels.iter().map(|one| installed_row(context, one)).collect();
    let archive = if args.installed { Ok(Vec::new()) } else { of_archive(context, architecture) };
    let (archive, error) = archive.map_or_else(|error| (Vec::new(), Some(error)), |rows| (rows, None));
    let mut shown = Vec::new();
    if architecture == native {
        shown.push(shown_installed(&installed));
    }
    if !archive.is_empty() {
        shown.push(shown_archive(&archive));
    }
    let installed = installed.into_iter().map(|row| Row::Installed(Box::new(row)));
    let archive = archive.into_iter().map(|row| Row::Archive(Box::new(row)));
    let rows: Vec<Row> = installed.chain(archive).collect();
    // With --json an error is all that is printed.
    if error.is_none() {
        context.report.data(&rows);
    }
    context.report.say(&shown.join("\n\n"));
    error.map_or(Ok(()), Err)
}

/// The archive's kernels; none on a machine whose packages are not apt's.
fn of_archive(context: &Context, architecture: Architecture) -> Result<Vec<ArchiveRow>> {
    if programs::find("apt-get").is_none() {
        context.report.note("Leaving", "out the kernels of Debian's archive: this machine has no apt");
        return Ok(Vec::new());
    }
    programs::ensure(context, &[known::usual().programs()])?;
    archive_rows(context, architecture)
}

fn archive_rows(context: &Context, architecture: Architecture) -> Result<Vec<ArchiveRow>> {
    let distribution = known::usual();
    let archive = distribution.archive_for(context, Age::Current, architecture)?;
    let kernels = archive.kernels();
    archive.fetch_configs(&kernels)?;
    let mut rows =
        kernels.iter().map(|kernel| archive_row(context, &*archive, kernel)).collect::<Result<Vec<_>>>()?;
    // Of another architecture none is used without being named.
    let native = Architecture::native() == Some(architecture);
    let flavour = distribution.default_flavour(architecture);
    let is_default = |row: &ArchiveRow| native && row.facts.rust && row.release.flavour() == flavour;
    if let Some(row) = rows.iter_mut().find(|row| is_default(row)) {
        row.default = true;
    }
    Ok(rows)
}

fn archive_row(context: &Context, archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<ArchiveRow> {
    Ok(ArchiveRow {
        prepared: is_prepared(context, &kernel.release),
        default: false,
        image_signed: archive.image_is_signed(&kernel.release),
        release: kernel.release.clone(),
        architecture: archive.architecture(),
        suite: kernel.suite().to_owned(),
        version: kernel.version().to_owned(),
        facts: KernelFacts::of(&archive.config(kernel)?),
    })
}

fn installed_row(context: &Context, one: &SurveyedKernel) -> InstalledRow {
    let of = |obstruction: &Option<Obstruction>| Buildable {
        ready: obstruction.is_none(),
        obstruction: obstruction.clone(),
    };
    InstalledRow {
        release: one.kernel.release.clone(),
        running: one.kernel.running,
        image: one.kernel.image.is_some(),
        prepared: is_prepared(context, &one.kernel.release),
        c: of(&one.readiness.c),
        rust_modules: of(&one.readiness.rust),
        facts: one.config.as_ref().map(KernelFacts::of),
    }
}

/// Whether it was prepared here; one that is installed is not.
fn is_prepared(context: &Context, release: &Release) -> bool {
    Kdir::open(&context.cache, release).is_some_and(|kdir| !kdir.is_installed())
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// The compiler's command, without the machine that it is for.
fn compiler(facts: &KernelFacts) -> String {
    facts.compiler.rsplit("gnu-").next().unwrap_or_default().to_owned()
}

fn shown_installed(rows: &[InstalledRow]) -> String {
    if rows.is_empty() {
        return "No kernel is installed on this machine.".to_owned();
    }
    let head = ["", "INSTALLED", "C", "RUST", "COMPILER", "MODVERSIONS", "IMAGE", "PREPARED"];
    let cells = |row: &InstalledRow| {
        let unknown = || "-".to_owned();
        vec![
            if row.running { ">" } else { "" }.to_owned(),
            row.release.to_string(),
            yes(row.c.ready),
            yes(row.rust_modules.ready),
            row.facts.as_ref().map_or_else(unknown, compiler),
            row.facts.as_ref().map_or_else(unknown, |facts| yes(facts.modversions)),
            yes(row.image),
            yes(row.prepared),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    let table = table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>());
    let why: String = rows.iter().map(obstructions).collect();
    let running = if rows.iter().any(|row| row.running) { "\n\n> is running." } else { "" };
    format!("{table}{running}{}{}", if why.is_empty() { "" } else { "\n" }, why)
}

/// Why modules cannot be built for it, and what helps. What is in the way of C is in the way of
/// Rust as well.
fn obstructions(row: &InstalledRow) -> String {
    let (language, obstruction) = match (&row.c.obstruction, &row.rust_modules.obstruction) {
        (Some(obstruction), _) => ("", obstruction),
        (None, Some(obstruction)) => (" in Rust", obstruction),
        (None, None) => return String::new(),
    };
    let remedy = obstruction.remedy.iter().map(|remedy| format!("\n    {remedy}")).collect::<String>();
    format!("\n{}: none{language}: {}{remedy}", row.release, obstruction.why)
}

fn shown_archive(rows: &[ArchiveRow]) -> String {
    let head = ["", "RELEASE", "SUITE", "RUST", "COMPILER", "MODVERSIONS", "SIGNED", "PREPARED"];
    let head = head.map(str::to_owned).to_vec();
    let cells = |row: &ArchiveRow| {
        let rustc = row.facts.rustc.as_ref().map(|version| format!("rustc {version}"));
        vec![
            if row.default { "*" } else { "" }.to_owned(),
            row.release.to_string(),
            row.suite.clone(),
            rustc.unwrap_or_else(|| yes(row.facts.rust)),
            compiler(&row.facts),
            yes(row.facts.modversions),
            yes(row.image_signed),
            yes(row.prepared),
        ]
    };
    let table = table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>());
    let default =
        if rows.iter().any(|row| row.default) { "* is used where no --kernel is given. " } else { "" };
    format!(
        "{table}\n\n{default}SIGNED: the distribution signed its image, and a machine with Secure Boot boots it."
    )
}
