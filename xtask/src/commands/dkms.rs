// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask dkms-add`, `dkms-build`, `dkms-install`, `dkms-uninstall`, `dkms-remove`, `dkms-status`,
//! `dkms-mkrpm`, `dkms-mktarball`.

use anyhow::Result;
use serde::Serialize;

use crate::cli::{DkmsArgs, DkmsPlace};
use crate::context::{Context, repository};
use crate::dkms::command::rows;
use crate::dkms::fault::{self, Fault};
use crate::dkms::place::Place;
use crate::dkms::status::{Row, State};
use crate::dkms::target::{self, Wanted};
use crate::dkms::{self, Bundle, Dkms, Goal, Outcome};
use crate::failure::{Exit, Failure};
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::project::Project;
use crate::report::table;

/// `dkms-add`, `dkms-build`, `dkms-install`: as far as `goal`, for each kernel asked for.
pub fn bring(context: &Context, args: &DkmsArgs, goal: Goal) -> Result<()> {
    for_each_kernel(context, args, |dkms, releases| dkms.bring(releases, goal, args.repair))
}

/// `dkms-uninstall`.
pub fn uninstall(context: &Context, args: &DkmsArgs) -> Result<()> {
    for_each_kernel(context, args, |dkms, releases| {
        Ok(releases.iter().map(|release| dkms.uninstall(release, args.repair)).collect())
    })
}

/// `dkms-remove`.
pub fn remove(context: &Context, args: &DkmsArgs) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(args)?);
    let removed = Dkms::open(context, &place, &project, args.force)?.remove(args.repair)?;
    context.report.data(&removed);
    Ok(())
}

/// `dkms-mkrpm`, `dkms-mktarball`: one file for each kernel named, or one alone.
pub fn bundle(context: &Context, args: &DkmsArgs, bundle: Bundle) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(args)?);
    let dkms = Dkms::open(context, &place, &project, args.force)?;
    let mut releases = args.kernels.clone();
    if args.all_kernels || (releases.is_empty() && project.import.is_some()) {
        releases = target::releases(context, &place, wanted(args))?;
    }
    if releases.is_empty() {
        // Only its name is needed, and not even that for a source that is the same for every kernel.
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

fn wanted(args: &DkmsArgs) -> Wanted<'_> {
    if args.all_kernels { Wanted::All } else { Wanted::Named(&args.kernels) }
}

/// What `dkms-status` says of one row.
#[derive(Serialize)]
struct Known {
    #[serde(flatten)]
    row: Row,
    faults: Vec<Fault>,
}

/// `dkms-status`.
pub fn status(context: &Context, args: &DkmsPlace) -> Result<()> {
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

/// Does `all` for the kernels asked for: one bad kernel neither stops nor hides the others.
fn for_each_kernel(
    context: &Context,
    args: &DkmsArgs,
    all: impl Fn(&Dkms<'_>, &[Release]) -> Result<Vec<Result<Outcome>>>,
) -> Result<()> {
    let (place, project) = (place(&args.place)?, project(args)?);
    let dkms = Dkms::open(context, &place, &project, args.force)?;
    let (mut outcomes, mut first_error) = (Vec::new(), None);
    for result in all(&dkms, &target::releases(context, &place, wanted(args))?)? {
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

/// Skipping every kernel is nothing done: the status says so.
fn all_skipped(outcomes: &[Outcome]) -> Result<()> {
    match outcomes.first() {
        Some(Outcome { kernel, skipped: Some(reason), .. })
            if outcomes.iter().all(|outcome| outcome.skipped.is_some()) =>
        {
            let reason = format!("skipped: {reason}");
            Err(Failure::new(Exit::Skipped, kernel.as_str(), reason).into())
        }
        _ => Ok(()),
    }
}

fn summary(outcomes: &[Outcome]) -> String {
    let mut rows = vec![["KERNEL", "PACKAGE", "STATE", "SIGNED", "FILE"].map(str::to_owned).to_vec()];
    for outcome in outcomes {
        let state = match (&outcome.skipped, outcome.state) {
            (Some(_), _) => "skipped",
            (None, state) => state.map_or("unknown", State::word),
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

fn project(args: &DkmsArgs) -> Result<Project> {
    Project::open(args.project.as_deref().unwrap_or(&repository()))
}
