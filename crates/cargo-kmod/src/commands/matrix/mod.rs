// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix`: projects by kernels.

mod cell;
mod ci;
mod ending;
mod merge;
mod plan;
mod preflight;
mod report;
mod run;
mod status;
mod submit;
mod task;
mod wanted;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use kernel::context::Context;

use crate::tool::Tool;

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
    /// Submit what is left of a matrix to a cluster of Slurm's, a task for each kernel
    Submit(Box<submit::SubmitArgs>),
    /// Say where each task is that was submitted, and what came of its cells
    Status(status::SubmittedArgs),
    /// Judge what came of what was submitted; a cell without a result is lost
    Collect(status::CollectArgs),
    /// End what was submitted; what its cells have come to is kept
    Cancel(status::SubmittedArgs),
    /// Runs the cells of one kernel on a node; started by a batch script of the tool's own
    #[command(hide = true)]
    Task(task::TaskArgs),
    /// Write what came of the matrix that was run last: a page, JUnit's XML, Markdown, JSON
    ///
    /// Whatever came of it, the exit status is 0 if it could be written.
    Report(report::MatrixReportArgs),
    /// Print a pipeline that runs the matrix on machines of GitHub's or GitLab's
    #[command(subcommand)]
    Ci(ci::CiCommand),
    /// Say what the archive's next kernels will break, before machines get them
    ///
    /// Kernels that are newer than those of the last result, of the same flavours, are run with its
    /// projects. Said is what fails, and what has changed of the symbols that the modules use:
    /// gone, moved, of another CRC, or, by the kernels' BTF, of another prototype. The exit status
    /// is 1 if something breaks.
    Preflight(Box<preflight::PreflightArgs>),
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
pub fn run(context: &Context, tool: &Tool, command: &MatrixCommand) -> Result<()> {
    match command {
        MatrixCommand::Plan(args) => plan::run(context, args),
        MatrixCommand::Run(args) => run::run(context, args),
        MatrixCommand::Cell(args) => cell::run(context, args),
        MatrixCommand::Merge(args) => merge::run(context, args),
        MatrixCommand::Submit(args) => submit::run(context, args),
        MatrixCommand::Status(args) => status::status(context, args),
        MatrixCommand::Collect(args) => status::collect(context, args),
        MatrixCommand::Cancel(args) => status::cancel(context, args),
        MatrixCommand::Task(args) => task::run(context, args),
        MatrixCommand::Report(args) => report::run(context, args),
        MatrixCommand::Ci(command) => ci::run(context, tool, command),
        MatrixCommand::Preflight(args) => preflight::run(context, args),
    }
}
