// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix`: projects by kernels.

mod plan;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use kernel::context::Context;

/// `cargo kmod matrix`.
#[derive(Debug, Subcommand)]
pub enum MatrixCommand {
    /// Say which cells there are, and what each depends on
    Plan(plan::PlanArgs),
}

/// Where results are.
#[derive(Clone, Debug, Args)]
pub struct ResultsArgs {
    /// The directory of results [default: matrix in the target directory]
    #[arg(long, value_name = "DIR")]
    pub results: Option<Utf8PathBuf>,
}

impl ResultsArgs {
    /// The directory, from the root of the file system.
    pub(super) fn dir(&self, context: &Context) -> Result<Utf8PathBuf> {
        let here = super::tested::here()?;
        let usual = || context.target_of(&here).join("matrix");
        Ok(self.results.as_ref().map_or_else(usual, |dir| here.join(dir)))
    }
}

/// Runs it.
pub fn run(context: &Context, command: &MatrixCommand) -> Result<()> {
    match command {
        MatrixCommand::Plan(args) => plan::run(context, args),
    }
}
