// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask build`.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use super::patch;
use crate::cli::{BuildArgs, BuildCommand, SignWith};
use crate::context::{Context, repository};
use crate::failure::Failure;
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::{self, Prepared};
use crate::kernel::release::Release;
use crate::key::pair::KeyPair;
use crate::machine::programs;
use crate::project::Project;
use crate::project::build::{Built, build_signed};
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
    let kdir = Kdir::open(context, &release)
        .ok_or_else(|| Failure::missing(release.as_str(), "was removed while the project was built"))?;
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
    for release in releases(context, args, &project)? {
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

pub(super) fn project(args: &BuildArgs) -> Result<Project> {
    Project::open(args.project.as_deref().unwrap_or(&repository()))
}

/// What was built for several kernels: one bad kernel neither stops nor hides the others.
pub struct Batch {
    /// What was built.
    pub built: Vec<Built>,
    /// The first kernel's failure; further ones were shown as warnings.
    pub first_error: Option<anyhow::Error>,
}

/// Builds for each kernel asked for and hands each build to `then`.
pub fn all(
    context: &Context,
    args: &BuildArgs,
    mut then: impl FnMut(&Project, &Prepared, &Built) -> Result<()>,
) -> Result<Batch> {
    programs::ensure(context, &[programs::ROOTS])?;
    let project = project(args)?;
    let pair = key_pair(context, &args.sign)?;
    let mut done = Vec::new();
    let mut first_error = None;
    for release in releases(context, args, &project)? {
        if context.dry_run {
            let kernel = release.as_ref().map_or("the default kernel", |release| release.as_str());
            context.report.say(&format!("would build {} {} for {kernel}", project.name, project.version));
            continue;
        }
        let mut one = || -> Result<Built> {
            let prepared = prepare::provide_for(context, release.as_ref(), context.root_fs, project.rust())?;
            let built = build_signed(context, &project, &prepared, pair.as_ref())?;
            then(&project, &prepared, &built)?;
            Ok(built)
        };
        match one() {
            Ok(built) => done.push(built),
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => context.report.warn(&format!("{error:#}")),
        }
    }
    Ok(Batch { built: done, first_error })
}

/// The key that modules are to be signed with, checked before anything is built.
pub fn key_pair(context: &Context, args: &SignWith) -> Result<Option<KeyPair>> {
    match (&args.sign_key, &args.sign_cert) {
        (Some(key), Some(certificate)) => KeyPair::open(context, key, certificate).map(Some),
        _ => Ok(None),
    }
}

/// The kernels asked for; `None` is the default one. Of all that are prepared, those that the project can be built for.
pub(super) fn releases(
    context: &Context,
    args: &BuildArgs,
    project: &Project,
) -> Result<Vec<Option<Release>>> {
    if args.all_kernels {
        let mut prepared = Kdir::all(context);
        prepared.retain(|kdir| kdir.config().is_ok_and(|config| project.excluded_by(&config).is_none()));
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
