// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask build`.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use super::patch;
use crate::cli::{BuildArgs, BuildCommand, SignWith};
use crate::context::{Context, repository};
use crate::failure::{Exit, Failure, exit_of};
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::{self, Prepared, Rust};
use crate::kernel::release::Release;
use crate::key::pair::KeyPair;
use crate::machine::programs;
use crate::project::build::{Built, build_signed};
use crate::project::{Opened, Project, Target};
use crate::report::{size, table};
use crate::source::edit;

/// Builds and prints a table of what was made.
pub fn run(context: &Context, args: &BuildCommand) -> Result<()> {
    if args.import_only {
        return import(context, &args.build);
    }
    let Batch { mut built, first_error } = all(context, &args.build, |_, _, _| Ok(()))?;
    if args.compress {
        built.iter_mut().try_for_each(|built| compress(context, built))?;
    }
    if !built.is_empty() {
        context.report.data(&built);
        context.report.say(&summary(&built));
    }
    first_error.map_or(Ok(()), Err)
}

/// Compresses what was built, or says that the kernel's own modules are not.
fn compress(context: &Context, built: &mut Built) -> Result<()> {
    let release = built.release.clone();
    let kdir = Kdir::open(context, &release).ok_or_else(|| {
        Failure::missing(release.as_str(), "was removed, or lost files, while the project was built")
    })?;
    built.pack(&kdir.config()?)?;
    if built.objects.iter().all(|object| object.packed.is_none()) {
        context.report.note("Left", &format!("uncompressed, as the own modules of {release} are"));
    }
    Ok(())
}

/// A source tree that was laid out.
#[derive(Serialize)]
struct LaidOut {
    release: Release,
    source: Utf8PathBuf,
}

/// Lays out the source for each kernel asked for and prints where.
fn import(context: &Context, args: &BuildArgs) -> Result<()> {
    programs::ensure(context, &[programs::ROOTS])?;
    let project = project(args)?;
    let mut laid_out = Vec::new();
    for release in releases(context, args, &Opened::Project(Box::new(project.clone())))? {
        let release = patch::release(context, release.as_ref())?;
        if context.dry_run {
            context.report.say(&format!("would lay out {}", edit::place(&project, &release)));
            continue;
        }
        let source = edit::lay_out(context, &project, &release)?;
        context.report.say(source.as_str());
        laid_out.push(LaidOut { release, source });
    }
    context.report.data(&laid_out);
    Ok(())
}

fn project(args: &BuildArgs) -> Result<Project> {
    Project::open(args.project.as_deref().unwrap_or(&repository()))
}

/// What is to be built: read, or with `--allow-shell` to be evaluated once there is a kernel and its root.
pub(super) fn opened(args: &BuildArgs) -> Result<Opened> {
    match Project::open_any(args.project.as_deref().unwrap_or(&repository()))? {
        Opened::Program { failure, .. } if !args.allow_shell => Err(failure.into()),
        opened => Ok(opened),
    }
}

/// What was built for several kernels: one bad kernel neither stops nor hides the others.
pub struct Batch {
    /// What was built.
    pub built: Vec<Built>,
    /// The first kernel's failure; further ones were shown as warnings. Of kernels that the project is not for, only
    /// when there is no other.
    pub first_error: Option<anyhow::Error>,
}

/// Builds for each kernel asked for and hands each build to `then`.
pub fn all(
    context: &Context,
    args: &BuildArgs,
    mut then: impl FnMut(&Project, &Prepared, &Built) -> Result<()>,
) -> Result<Batch> {
    programs::ensure(context, &[programs::ROOTS])?;
    let opened = opened(args)?;
    let pair = key_pair(context, &args.sign)?;
    let mut done = Vec::new();
    let mut failed = Failed::default();
    for release in releases(context, args, &opened)? {
        if context.dry_run {
            let kernel = release.as_ref().map_or("the default kernel", |release| release.as_str());
            context.report.say(&format!("would build {} for {kernel}", name(&opened)));
            continue;
        }
        let mut one = || -> Result<Built> {
            let rust = match &opened {
                Opened::Project(project) => project.rust(),
                Opened::Program { .. } => Rust::Optional,
            };
            let prepared = prepare::provide_for(context, release.as_ref(), context.root_fs, rust)?;
            let prepared = prepared.with_packages(context, &args.packages)?;
            let project = match &opened {
                Opened::Project(project) => project.for_kernel(&Target::of(&prepared)?)?,
                Opened::Program { dir, .. } => Project::evaluated(context, dir, &prepared)?,
            };
            let built = build_signed(context, &project, &prepared, pair.as_ref())?;
            then(&project, &prepared, &built)?;
            Ok(built)
        };
        match one() {
            Ok(built) => done.push(built),
            Err(error) => failed.add(context, error),
        }
    }
    Ok(Batch { first_error: failed.first.or(failed.skipped.filter(|_| done.is_empty())), built: done })
}

/// What went wrong for some of the kernels.
#[derive(Default)]
struct Failed {
    first: Option<anyhow::Error>,
    skipped: Option<anyhow::Error>,
}

impl Failed {
    /// Shows the failure, unless it is to be the end's.
    fn add(&mut self, context: &Context, error: anyhow::Error) {
        if exit_of(&error) == Exit::Skipped {
            context.report.note("Skipping", &format!("{error:#}"));
            self.skipped.get_or_insert(error);
        } else if self.first.is_none() {
            self.first = Some(error);
        } else {
            context.report.warn(&format!("{error:#}"));
        }
    }
}

fn name(opened: &Opened) -> String {
    match opened {
        Opened::Project(project) => format!("{} {}", project.name, project.version),
        Opened::Program { dir, .. } => dir.to_string(),
    }
}

/// The key that modules are to be signed with, checked before anything is built.
pub fn key_pair(context: &Context, args: &SignWith) -> Result<Option<KeyPair>> {
    match (&args.sign_key, &args.sign_cert) {
        (Some(key), Some(certificate)) => KeyPair::open(context, key, certificate).map(Some),
        _ => Ok(None),
    }
}

/// The kernels asked for; `None` is the default one. Of all that are prepared, those that the project can be built for.
pub(super) fn releases(context: &Context, args: &BuildArgs, opened: &Opened) -> Result<Vec<Option<Release>>> {
    if args.all_kernels {
        let mut prepared = Kdir::all(context);
        prepared.retain(|kdir| match opened {
            Opened::Project(project) => is_for(context, project, kdir),
            Opened::Program { .. } => true,
        });
        if prepared.is_empty() {
            return Err(Failure::missing(
                "--all-kernels",
                "no kernel is prepared that the project can be built for",
            )
            .remedy("cargo xtask kernel prepare")
            .into());
        }
        return Ok(prepared.iter().map(|kdir| Some(kdir.release().clone())).collect());
    }
    if args.kernels.is_empty() {
        Ok(vec![None])
    } else {
        Ok(args.kernels.iter().cloned().map(Some).collect())
    }
}

/// Whether a project is for a kernel; says so when it is not.
fn is_for(context: &Context, project: &Project, kdir: &Kdir) -> bool {
    let Ok(config) = kdir.config() else { return false };
    let reason = project.excludes(kdir.release(), &config);
    if let Some(reason) = &reason {
        context.report.note("Skipping", &format!("{} for {}: {reason}", project.name, kdir.release()));
    }
    reason.is_none()
}

fn summary(built: &[Built]) -> String {
    let mut rows =
        vec![["KERNEL", "MODULE", "BUILT", "STRIPPED", "SIGNER", "FILE"].map(str::to_owned).to_vec()];
    for (built, object) in
        built.iter().flat_map(|built| built.objects.iter().map(move |object| (built, object)))
    {
        rows.push(vec![
            built.release.to_string(),
            object.name.clone(),
            size(object.unstripped_size),
            size(object.size),
            built.signer.clone().unwrap_or_else(|| "-".to_owned()),
            object.packed.as_ref().unwrap_or(&object.file).to_string(),
        ]);
    }
    table(&rows)
}
