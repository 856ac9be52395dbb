// SPDX-License-Identifier: GPL-2.0
//! What is run of a plan.

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
    /// Processors that all cells have together; none is all of the machine.
    pub processors: Option<usize>,
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
