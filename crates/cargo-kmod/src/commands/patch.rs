// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod patch`: saves edits of imported source in the patch series.

use anyhow::Result;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use clap::Subcommand;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::discover;
use kernel::distribution::{Age, known};
use kmodfile::release::Release;
use project::Project;
use project::source::edit;
use project::source::edit::DEFAULT_NAME;

/// `cargo kmod patch`.
#[derive(Debug, Subcommand)]
pub enum PatchCommand {
    /// Save an edit of the source that `build --import-only` laid out as a patch
    ///
    /// The edit becomes one patch at the end of the series for the kernel's line. If the last patch
    /// has that name already, it is replaced.
    Refresh(RefreshArgs),
}

/// `cargo kmod patch refresh`.
#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Directory with a dkms.conf and an import.toml
    #[arg(long, value_name = "DIR")]
    pub project: Utf8PathBuf,
    /// The kernel whose source was edited, as printed by `uname -r`, or `running`, or `installed`
    /// [default: the newest cloud kernel with Rust]
    #[arg(long = "kernel", value_name = "RELEASE")]
    pub kernel: Option<AskedKernel>,
    /// File name of the patch
    #[arg(long, value_name = "NAME.patch", default_value = DEFAULT_NAME)]
    pub name: String,
}

/// Runs one of them.
pub fn run(context: &Context, command: &PatchCommand) -> Result<()> {
    known::ensure_programs(context)?;
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
        None => format!("nothing was edited in {}", edit::place(context, &project, &release)),
        Some(patch) => {
            let files = refreshed.files.iter().map(|file| format!("\n  {file}")).collect::<String>();
            format!("{verb} {patch}, which changes{files}")
        }
    });
    Ok(())
}

/// The given kernel, or the default one.
pub fn release(context: &Context, named: Option<&AskedKernel>) -> Result<Release> {
    match named {
        Some(asked) => asked.named(context, Utf8Path::new("/")),
        None => {
            let distribution = known::usual();
            let archive = distribution.archive(context, Age::Current)?;
            Ok(discover::default(distribution, &*archive)?.release)
        }
    }
}
