// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask build`.

use anyhow::Result;

use crate::cli::BuildArgs;
use crate::context::{Context, repository};
use crate::failure::Failure;
use crate::kernel::kdir::Kdir;
use crate::kernel::prepare::{self, Prepared};
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::project::Project;
use crate::project::build::{Built, build};
use crate::report::{size, table};

/// Builds and prints a table of what was made.
pub fn run(context: &Context, args: &BuildArgs) -> Result<()> {
    let Batch { built, first_error } = all(context, args, |_, _, _| Ok(()))?;
    if !built.is_empty() {
        context.report.data(&built);
        context.report.say(&summary(&built));
    }
    first_error.map_or(Ok(()), Err)
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
    let project = Project::open(args.project.as_deref().unwrap_or(&repository()))?;
    let mut done = Vec::new();
    let mut first_error = None;
    for release in releases(context, args)? {
        if context.dry_run {
            let kernel = release.as_ref().map_or("the default kernel", |release| release.as_str());
            context.report.say(&format!("would build {} {} for {kernel}", project.name, project.version));
            continue;
        }
        let mut one = || -> Result<Built> {
            let prepared = prepare::provide(context, release.as_ref(), context.root_fs)?;
            let built = build(context, &project, &prepared)?;
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

/// The kernels asked for; `None` is the default one.
fn releases(context: &Context, args: &BuildArgs) -> Result<Vec<Option<Release>>> {
    if args.all_kernels {
        let prepared = Kdir::all(context);
        if prepared.is_empty() {
            return Err(Failure::missing("--all-kernels", "no kernel is prepared")
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
    let mut rows = vec![["KERNEL", "MODULE", "BUILT", "STRIPPED", "FILE"].map(str::to_owned).to_vec()];
    for (built, object) in
        built.iter().flat_map(|built| built.objects.iter().map(move |object| (built, object)))
    {
        rows.push(vec![
            built.release.to_string(),
            object.name.clone(),
            size(object.unstripped_size),
            size(object.size),
            object.file.to_string(),
        ]);
    }
    table(&rows)
}
