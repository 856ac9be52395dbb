// SPDX-License-Identifier: GPL-2.0
//! What a matrix came to: recorded, shown, written, and as an exit status.

use std::collections::HashSet;

use anyhow::Result;
use kernel::context::Context;
use matrix::history;
use matrix::plan::{CellId, Plan};
use matrix::results::ResultsDir;
use matrix::run::RunOptions;
use matrix::summary::Summary;
use report::failure::{Exit, Failure};

use super::report::ReportArgs;

/// What has come of a plan, and what is wanted of that.
pub(super) struct MatrixEnd<'a> {
    pub(super) plan: &'a Plan,
    pub(super) results: &'a ResultsDir,
    /// Which cells were meant.
    pub(super) options: &'a RunOptions,
    pub(super) reports: &'a ReportArgs,
    /// When it was begun.
    pub(super) began: u64,
    /// Whether cells were run since the last record.
    pub(super) ran: bool,
}

impl MatrixEnd<'_> {
    /// Judges what is there of the plan's results, records it, and shows it.
    ///
    /// # Errors
    ///
    /// Failed, if a cell that was meant is not as it should be.
    pub(super) fn judge(&self, context: &Context) -> Result<()> {
        let &Self { plan, results, .. } = self;
        let kept = results.read_all(plan);
        kept.faults.iter().for_each(|fault| context.report.warn(fault));
        let mut summary = Summary::of(plan, &kept.results);
        let before = history::read(results)?;
        before.faults.iter().for_each(|fault| context.report.warn(fault));
        let is_new = before.runs.first().is_none_or(|last| last.plan != plan.id);
        let runs = if self.ran || is_new {
            history::record(results, &summary, self.began)?;
            history::read(results)?.runs
        } else {
            before.runs
        };
        let meant: HashSet<&CellId> = self.options.cells(plan).iter().map(|cell| &cell.id).collect();
        summary.cells.retain(|judged| meant.contains(&judged.cell.id));
        self.reports.write(context, &summary, results, &runs)?;
        require_good(&summary)
    }
}

/// Refuses a matrix that is not as it should be.
fn require_good(summary: &Summary<'_>) -> Result<()> {
    if summary.is_good() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("plan {}", summary.plan.id), summary.headline()).into())
}
