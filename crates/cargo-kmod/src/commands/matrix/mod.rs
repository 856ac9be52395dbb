// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix`: projects by kernels.

mod cell;
mod ending;
mod merge;
mod plan;
mod run;
mod wanted;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use kernel::context::Context;

/// `cargo kmod matrix`.
#[derive(Debug, Subcommand)]
pub enum MatrixCommand {
    /// Say which cells there are, and what each depends on
    Plan(plan::PlanArgs),
    /// Run all cells, as many at once as processors and memory allow
    ///
    /// A cell whose inputs have not changed since it was run is not run again. Ctrl-C leaves what
    /// is done, and --resume goes on.
    Run(Box<run::MatrixRunArgs>),
    /// Run one cell of a plan; the exit status is its own
    Cell(cell::CellArgs),
    /// Put results together that several machines have made of one plan
    Merge(merge::MergeArgs),
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
        MatrixCommand::Run(args) => run::run(context, args),
        MatrixCommand::Cell(args) => cell::run(context, args),
        MatrixCommand::Merge(args) => merge::run(context, args),
    }
}
