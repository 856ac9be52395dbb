// SPDX-License-Identifier: GPL-2.0
//! Runs cells on this machine: each step is a run of the tool of its own, so that whatever becomes
//! of one cell, the others go on.

mod answer;
mod board;
mod cell;
mod command;
mod local;
mod memory;
mod program;
mod stop;

pub use cell::run_cell;
pub use local::{RunCounts, run};
pub use stop::StopFlag;

use camino::Utf8PathBuf;
use kernel::context::Context;
use kernel::root::RootChoice;
use kmodfile::release::Release;

use crate::partition::Partition;
use crate::plan::{Cell, Plan};

/// What is run of a plan, and how.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Only cells of these kernels; none is all.
    pub kernels: Vec<Release>,
    /// Only this part.
    pub partition: Option<Partition>,
    /// Also cells that have a result.
    pub again: bool,
    /// How often the cells had been begun before.
    pub retries: u32,
}

impl RunOptions {
    /// The cells that are meant, of which some may have results.
    pub fn cells<'a>(&self, plan: &'a Plan) -> Vec<&'a Cell> {
        let cells: Vec<&Cell> = match &self.partition {
            Some(partition) => partition.of(plan),
            None => plan.cells.iter().collect(),
        };
        let meant = |cell: &&Cell| self.kernels.is_empty() || self.kernels.contains(&cell.kernel);
        cells.into_iter().filter(meant).collect()
    }
}

/// How the tool is run for a step.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// Its own file.
    pub program: Utf8PathBuf,
    /// Parallel jobs of one step.
    pub jobs: usize,
    /// Whether every question is answered with yes.
    pub yes: bool,
    /// Where compilers run.
    pub root_fs: RootChoice,
    /// Where what is built goes, if that was said.
    pub target: Option<Utf8PathBuf>,
}

impl ToolCall {
    /// The tool as it was called, with so many jobs.
    pub fn of(context: &Context, jobs: usize) -> Self {
        Self {
            program: context.program.clone(),
            jobs,
            yes: context.yes,
            root_fs: context.root_fs,
            target: context.target.clone(),
        }
    }
}
