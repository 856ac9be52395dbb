// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix plan`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use matrix::plan::Plan;

/// `cargo kmod matrix plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The file that says what is wanted
    #[arg(value_name = "FILE", default_value = matrix::matrix_file::USUAL_NAME)]
    pub file: Utf8PathBuf,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &PlanArgs) -> Result<()> {
    let file = matrix::matrix_file::MatrixFile::read(&args.file)?;
    let plan = Plan::new(env!("CARGO_PKG_VERSION"), None, Vec::new(), Vec::new(), Vec::new());
    context.report.data(&plan);
    context.report.say(&format!("{} projects", file.projects.len()));
    Ok(())
}
