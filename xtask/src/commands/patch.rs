// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask patch`: an edited import and its patch series.

use anyhow::Result;

use crate::archive::Archive;
use crate::cli::{PatchCommand, RefreshArgs};
use crate::context::Context;
use crate::kernel::discover;
use crate::kernel::release::Release;
use crate::machine::programs;
use crate::project::Project;
use crate::source::edit;

/// Runs one of them.
pub fn run(context: &Context, command: &PatchCommand) -> Result<()> {
    programs::ensure(context, &[programs::ROOTS])?;
    match command {
        PatchCommand::Refresh(args) => refresh(context, args),
    }
}

fn refresh(context: &Context, args: &RefreshArgs) -> Result<()> {
    let project = Project::open(&args.project)?;
    let release = release(context, args.kernel.as_ref())?;
    let refreshed = edit::refresh(context, &project, &release, &args.name)?;
    context.report.data(&refreshed);
    let verb = if context.dry_run { "would write" } else { "wrote" };
    context.report.say(&match &refreshed.patch {
        None => format!("nothing is edited in {}", edit::place(&project, &release)),
        Some(patch) => {
            let files = refreshed.files.iter().map(|file| format!("\n  {file}")).collect::<String>();
            format!("{verb} {patch}, which changes{files}")
        }
    });
    Ok(())
}

/// The kernel named, or the default one.
pub fn release(context: &Context, named: Option<&Release>) -> Result<Release> {
    match named {
        Some(release) => Ok(release.clone()),
        None => Ok(discover::default(context, &Archive::open(context)?)?.release),
    }
}
