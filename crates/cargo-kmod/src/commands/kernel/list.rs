// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel list`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use kernel::context::Context;
use kernel::discover::KernelFacts;
use kernel::distribution::known::{self, has_archive};
use kernel::distribution::{Age, Archive, ArchiveKernel};
use kernel::installed::adopt::{self, SurveyedKernel};
use kernel::installed::readiness::Obstruction;
use kernel::kdir::Kdir;
use kernel::machine::package_tool::PackageTool;
use kernel::origin::Origin;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::remedy_of;
use report::{size, table};

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
    /// Also the archive's kernels that are tried out, or of the previous release
    ///
    /// They can be named like any other, but none of them is the default.
    #[arg(long, conflicts_with = "installed")]
    all: bool,
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
    Made(Box<MadeRow>),
}

/// A kernel that was made here, and is in no archive: from source, or a sanitizing one.
#[derive(Serialize)]
struct MadeRow {
    release: Release,
    architecture: Architecture,
    origin: String,
    #[serde(flatten)]
    facts: KernelFacts,
    /// Bytes on disk, without its source.
    bytes: u64,
}

/// A kernel of the archive.
#[derive(Serialize)]
struct ArchiveRow {
    release: Release,
    architecture: Architecture,
    suite: String,
    version: String,
    prepared: bool,
    /// Bytes on disk, if it is prepared, without its source, which flavours share.
    bytes: Option<u64>,
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
    let archive = if args.installed { Ok(Vec::new()) } else { of_archive(context, architecture, args.all) };
    let (archive, error) = archive.map_or_else(|error| (Vec::new(), Some(error)), |rows| (rows, None));
    let made = if args.installed { Vec::new() } else { made_rows(context, architecture)? };
    match error {
        Some(error) if installed.is_empty() && made.is_empty() => return Err(error),
        Some(error) => {
            let remedy = remedy_of(&error).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            context.report.warn(&format!("the archive's kernels are not shown: {error}{remedy}"));
        }
        None => {}
    }
    let mut shown = Vec::new();
    if architecture == native {
        shown.push(shown_installed(&installed));
    }
    if !archive.is_empty() {
        shown.push(shown_archive(&archive));
    }
    if !made.is_empty() {
        shown.push(shown_made(&made));
    }
    let installed = installed.into_iter().map(|row| Row::Installed(Box::new(row)));
    let archive = archive.into_iter().map(|row| Row::Archive(Box::new(row)));
    let made = made.into_iter().map(|row| Row::Made(Box::new(row)));
    context.report.data(&installed.chain(archive).chain(made).collect::<Vec<Row>>());
    context.report.say(&shown.join("\n\n"));
    Ok(())
}

/// Kernels that were made of a source of the user's, and those that find faults.
fn made_rows(context: &Context, architecture: Architecture) -> Result<Vec<MadeRow>> {
    let kdirs = Kdir::all(&context.cache, &context.report).into_iter();
    let here = |kdir: &Kdir| {
        let of_archive = matches!(kdir.stamp().origin, Origin::Archive { .. } | Origin::Installed(_));
        !of_archive && kdir.stamp().architecture == architecture
    };
    let row = |kdir: Kdir| {
        Ok(MadeRow {
            release: kdir.release().clone(),
            architecture,
            origin: kdir.stamp().origin.to_string(),
            facts: KernelFacts::of(&kdir.config()?),
            bytes: kdir.stamp().bytes,
        })
    };
    kdirs.filter(here).map(row).collect()
}

/// The archive's kernels; none on a machine whose packages are not from there.
fn of_archive(context: &Context, architecture: Architecture, all: bool) -> Result<Vec<ArchiveRow>> {
    if !has_archive() && PackageTool::here().is_none() {
        let name = known::usual().name();
        let why =
            format!("out the kernels of {name}'s archive: this machine has its packages from elsewhere");
        context.report.note("Leaving", &why);
        return Ok(Vec::new());
    }
    known::ensure_programs(context)?;
    let mut rows = current_rows(context, architecture)?;
    if all {
        rows.splice(0..0, archive_rows(context, architecture, Age::Next)?);
        rows.extend(archive_rows(context, architecture, Age::Old)?);
    }
    Ok(rows)
}

fn archive_rows(context: &Context, architecture: Architecture, age: Age) -> Result<Vec<ArchiveRow>> {
    let archive = known::usual().archive_for(context, age, architecture)?;
    let kernels = archive.kernels();
    archive.fetch_configs(&kernels)?;
    kernels.iter().map(|kernel| archive_row(context, &*archive, kernel)).collect()
}

/// Those that commands choose from where no kernel is named.
fn current_rows(context: &Context, architecture: Architecture) -> Result<Vec<ArchiveRow>> {
    let mut rows = archive_rows(context, architecture, Age::Current)?;
    // Of another architecture none is used without being named.
    let native = Architecture::native() == Some(architecture);
    let flavour = known::usual().default_flavour(architecture);
    let is_default = |row: &ArchiveRow| native && row.facts.rust && row.release.flavour() == flavour;
    if let Some(row) = rows.iter_mut().find(|row| is_default(row)) {
        row.default = true;
    }
    Ok(rows)
}

fn archive_row(context: &Context, archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<ArchiveRow> {
    Ok(ArchiveRow {
        prepared: prepared(context, &kernel.release).is_some(),
        bytes: prepared(context, &kernel.release).map(|kdir| kdir.stamp().bytes),
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
        prepared: prepared(context, &one.kernel.release).is_some(),
        c: of(&one.readiness.c),
        rust_modules: of(&one.readiness.rust),
        facts: one.config.as_ref().map(KernelFacts::of),
    }
}

/// The kernel, if it was prepared here; one that is installed is not.
fn prepared(context: &Context, release: &Release) -> Option<Kdir> {
    Kdir::open(&context.cache, release).filter(|kdir| !kdir.is_installed())
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
            row.bytes.map_or_else(|| yes(false), size),
        ]
    };
    let table = table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>());
    let default =
        if rows.iter().any(|row| row.default) { "* is used where no --kernel is given. " } else { "" };
    format!(
        "{table}\n\n{default}SIGNED: the distribution signed its image, and a machine with Secure Boot boots it. PREPARED: what \
         it takes on disk."
    )
}

fn shown_made(rows: &[MadeRow]) -> String {
    let head = ["MADE HERE", "FROM", "RUST", "COMPILER", "MODVERSIONS", "PREPARED"];
    let head = head.map(str::to_owned).to_vec();
    let cells = |row: &MadeRow| {
        let rustc = row.facts.rustc.as_ref().map(|version| format!("rustc {version}"));
        vec![
            row.release.to_string(),
            row.origin.clone(),
            rustc.unwrap_or_else(|| yes(row.facts.rust)),
            compiler(&row.facts),
            yes(row.facts.modversions),
            size(row.bytes),
        ]
    };
    table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>())
}
