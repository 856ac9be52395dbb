// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod dkms`: registers, builds, installs and uninstalls projects with DKMS.

use anyhow::Result;
use serde::Serialize;

use crate::commands::each_once;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use deploy::dkms::check::Reach;
use deploy::dkms::command::rows;
use deploy::dkms::fault::{self, Fault};
use deploy::dkms::place::Place;
use deploy::dkms::status::{DkmsState, StatusRow};
use deploy::dkms::target::{self, WantedKernels};
use deploy::dkms::{self, Bundle, Dkms, DkmsOutcome, Goal};
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::machine::programs;
use kmodfile::release::Release;
use project::{Project, find, implied};
use report::failure::{Exit, Failure};
use report::table;

/// `cargo kmod dkms`.
#[derive(Clone, Debug, Subcommand)]
pub enum DkmsCommand {
    /// Write a dkms.conf for a directory that has none, from its Kbuild or Makefile
    Conf(DkmsConfArgs),
    /// Register a project's source with DKMS
    Add(DkmsArgs),
    /// Build a project with DKMS, and check that its modules were built for the kernel
    Build(DkmsArgs),
    /// Register, build and install a project with DKMS, and check that modprobe finds its modules
    ///
    /// Does what has not been done yet, and checks the result: dkms reports success even if signing
    /// failed, or if another module takes precedence. If the headers lack the Rust artefacts, a
    /// prepared kernel is used.
    Install(DkmsArgs),
    /// Uninstall a project's modules, and restore the kernel's own
    Uninstall(DkmsArgs),
    /// Remove everything that DKMS knows about a project, and the source written by `dkms add`
    Remove(DkmsArgs),
    /// Make an RPM with a project's source, which DKMS builds where the package is installed
    ///
    /// It is written to /var/lib/dkms/NAME/VERSION/rpm. Installing it registers the source, builds
    /// it for every kernel whose headers are installed, and installs the modules; erasing it undoes
    /// all of that.
    Mkrpm(DkmsArgs),
    /// Make a tar archive for `dkms ldtarball`, with what was built for the kernels given
    Mktarball(DkmsArgs),
    /// Show what DKMS knows, what is really installed, and what an interrupted dkms has left
    /// incomplete
    Status(DkmsPlace),
}

/// Runs one of them.
pub fn run(context: &Context, command: &DkmsCommand) -> Result<()> {
    match command {
        DkmsCommand::Conf(args) => conf(context, args),
        DkmsCommand::Add(args) => bring(context, args, Goal::Added),
        DkmsCommand::Build(args) => bring(context, args, Goal::Built),
        DkmsCommand::Install(args) => bring(context, args, Goal::Installed),
        DkmsCommand::Uninstall(args) => uninstall(context, args),
        DkmsCommand::Remove(args) => remove(context, args),
        DkmsCommand::Mkrpm(args) => bundle(context, args, Bundle::Rpm),
        DkmsCommand::Mktarball(args) => bundle(context, args, Bundle::Tarball),
        DkmsCommand::Status(place) => status(context, place),
    }
}

/// `cargo kmod dkms conf`.
#[derive(Clone, Debug, Args)]
pub struct DkmsConfArgs {
    /// Directory of module sources [default: this one, or the nearest above it that is a project]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
}

/// Writes the file that the directory does without.
fn conf(context: &Context, args: &DkmsConfArgs) -> Result<()> {
    let dir = find::directory(context, args.project.as_deref())?;
    let file = dir.join("dkms.conf");
    let there = fs_err::read_to_string(&file).ok();
    let implied = implied::text(&dir);
    if there.is_some() && there == implied {
        context.report.note("Fresh", &format!("{file} is just what would be written"));
        context.report.data(&serde_json::json!({ "file": file, "text": implied }));
        return Ok(());
    }
    if file.exists() {
        return Err(Failure::refused(file.as_str(), "is there already, with other content")
            .remedy("edit it")
            .into());
    }
    let text = implied.ok_or_else(|| {
        Failure::refused(dir.as_str(), "has no Kbuild or Makefile with obj-m, which would say what is built")
            .remedy("write one, or begin with cargo kmod new NAME")
    })?;
    if !context.dry_run {
        report::durable::write(&file, text.as_bytes())?;
    }
    context.report.data(&serde_json::json!({ "file": file, "text": text }));
    context.report.say(&format!("{} {file}:\n{text}", if context.dry_run { "would write" } else { "wrote" }));
    Ok(())
}

/// Where DKMS keeps its trees.
#[derive(Clone, Debug, Args)]
pub struct DkmsPlace {
    /// Root directory of another system, whose trees are used instead of this machine's
    #[arg(long, value_name = "DIR")]
    pub root: Option<Utf8PathBuf>,
}

/// `cargo kmod dkms add` and the like.
#[derive(Clone, Debug, Args)]
pub struct DkmsArgs {
    /// Directory of module sources with a dkms.conf [default: this one, or the nearest above it
    /// that is a project]
    #[arg(long, value_name = "DIR")]
    pub project: Option<Utf8PathBuf>,
    /// Kernel, as `uname -r` prints it, or `running`, or `installed`: the newest that is installed;
    /// may be repeated [default: the running one]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernels: Vec<AskedKernel>,
    /// All kernels that are installed
    #[arg(long, conflicts_with = "kernels")]
    pub all_kernels: bool,
    /// Where DKMS keeps its trees.
    #[command(flatten)]
    pub place: DkmsPlace,
    /// First repair what an interrupted dkms has left incomplete
    #[arg(long)]
    pub repair: bool,
    /// Install even if the kernel's own module has a newer version
    #[arg(long)]
    pub force: bool,
}

/// `dkms add`, `dkms build`, `dkms install`: brings the project to `goal` for each kernel asked
/// for.
fn bring(context: &Context, args: &DkmsArgs, goal: Goal) -> Result<()> {
    for_each_kernel(context, args, |dkms, releases| dkms.bring(releases, goal, args.repair))
}

/// `dkms uninstall`.
fn uninstall(context: &Context, args: &DkmsArgs) -> Result<()> {
    for_each_kernel(context, args, |dkms, releases| {
        Ok(releases.iter().map(|release| dkms.uninstall(release, args.repair)).collect())
    })
}

/// `dkms remove`.
fn remove(context: &Context, args: &DkmsArgs) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(context, args)?);
    let removed = Dkms::open(context, &place, &project, args.force)?.remove(args.repair)?;
    context.report.data(&removed);
    Ok(())
}

/// `dkms mkrpm`, `dkms mktarball`: one file for each kernel given, or a single one.
fn bundle(context: &Context, args: &DkmsArgs, bundle: Bundle) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(context, args)?);
    let dkms = Dkms::open(context, &place, &project, args.force)?;
    dkms.require_acceptable(Reach::Anywhere)?;
    let mut releases = named(context, &place, args)?;
    if args.all_kernels || (releases.is_empty() && project.import.is_some()) {
        releases = target::releases(context, &place, wanted(args, &releases))?;
    }
    if releases.is_empty() {
        // Only the name is needed, and not even that if the source is the same for every kernel.
        releases.push(target::running(context)?);
    }
    let mut files = Vec::new();
    for release in &releases {
        files.push(dkms.bundle(release, bundle, args.repair)?);
    }
    files.dedup();
    context.report.data(&files);
    files.iter().for_each(|file| context.report.say(file.as_str()));
    Ok(())
}

/// The releases asked for, in the system whose trees are used.
fn named(context: &Context, place: &Place, args: &DkmsArgs) -> Result<Vec<Release>> {
    let root = place.root().unwrap_or(Utf8Path::new("/"));
    let releases = args.kernels.iter().map(|asked| asked.named(context, root));
    Ok(each_once(&releases.collect::<Result<Vec<_>>>()?))
}

fn wanted<'a>(args: &DkmsArgs, named: &'a [Release]) -> WantedKernels<'a> {
    if args.all_kernels { WantedKernels::All } else { WantedKernels::Named(named) }
}

/// What `dkms status` shows about one row.
#[derive(Serialize)]
struct Known {
    #[serde(flatten)]
    row: StatusRow,
    faults: Vec<Fault>,
}

/// `dkms status`.
fn status(context: &Context, args: &DkmsPlace) -> Result<()> {
    programs::ensure(context, &[dkms::PROGRAMS])?;
    let place = place(args)?;
    let mut known = Vec::new();
    for row in rows(context, &place, None)? {
        let mut faults = fault::find(&place, &row.package)?;
        faults.retain(|fault| {
            fault.release().is_none_or(|release| row.kernel.as_deref() == Some(release.as_str()))
        });
        known.push(Known { row, faults });
    }
    context.report.data(&known);
    context.report.say(&shown(&known));
    match known.iter().find(|known| !known.faults.is_empty()) {
        None => Ok(()),
        Some(known) => fault::refuse(&place, &known.row.package),
    }
}

fn shown(known: &[Known]) -> String {
    let mut rows = vec![["PACKAGE", "KERNEL", "STATE", "REMARK"].map(str::to_owned).to_vec()];
    for Known { row, faults } in known {
        let faults = faults.iter().map(ToString::to_string);
        let remarks: Vec<String> = row.remark.iter().cloned().chain(faults).collect();
        let kernel = row.kernel.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![row.package.to_string(), kernel, row.state.word().to_owned(), remarks.join("; ")]);
    }
    table(&rows)
}

/// Does `all` for the kernels asked for. A failure for one neither stops nor hides the others.
fn for_each_kernel(
    context: &Context,
    args: &DkmsArgs,
    all: impl Fn(&Dkms<'_>, &[Release]) -> Result<Vec<Result<DkmsOutcome>>>,
) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(context, args)?);
    let dkms = Dkms::open(context, &place, &project, args.force)?;
    let (mut outcomes, mut first_error) = (Vec::new(), None);
    let named = named(context, &place, args)?;
    for result in all(&dkms, &target::releases(context, &place, wanted(args, &named))?)? {
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => context.report.warn(&format!("{error:#}")),
        }
    }
    if !outcomes.is_empty() {
        context.report.data(&outcomes);
        context.report.say(&summary(&outcomes));
    }
    first_error.map_or_else(|| all_skipped(&outcomes), Err)
}

/// If every kernel was skipped, the exit status tells.
fn all_skipped(outcomes: &[DkmsOutcome]) -> Result<()> {
    match outcomes.first() {
        Some(DkmsOutcome { kernel, skipped: Some(reason), .. })
            if outcomes.iter().all(|outcome| outcome.skipped.is_some()) =>
        {
            let reason = format!("skipped: {reason}");
            Err(Failure::new(Exit::Skipped, kernel.as_str(), reason).into())
        }
        _ => Ok(()),
    }
}

fn summary(outcomes: &[DkmsOutcome]) -> String {
    let mut rows = vec![["KERNEL", "PACKAGE", "STATE", "SIGNED", "FILE"].map(str::to_owned).to_vec()];
    for outcome in outcomes {
        let state = match (&outcome.skipped, outcome.state) {
            (Some(_), _) => "skipped",
            (None, state) => state.map_or("unknown", DkmsState::word),
        };
        let head = [outcome.kernel.to_string(), outcome.package.to_string(), state.to_owned()];
        if outcome.modules.is_empty() {
            rows.push(head.to_vec());
        }
        for found in &outcome.modules {
            let signed = if found.signed { "yes" } else { "no" };
            rows.push([&head[..], &[signed.to_owned(), found.file.to_string()]].concat());
        }
    }
    table(&rows)
}

fn place(args: &DkmsPlace) -> Result<Place> {
    args.root.as_deref().map_or_else(|| Ok(Place::machine()), Place::in_root)
}

fn project(context: &Context, args: &DkmsArgs) -> Result<Project> {
    Project::open(&find::directory(context, args.project.as_deref())?)
}
