// SPDX-License-Identifier: GPL-2.0
//! What a matrix came to: shown, written, and as an exit status.

use anyhow::Result;
use kernel::context::Context;
use matrix::plan::Plan;
use matrix::results::ResultsDir;
use matrix::run::RunOptions;
use matrix::summary::Summary;
use report::failure::{Exit, Failure};
use report::{counted, table};

/// Judges what is there of a plan's results, and shows it.
///
/// # Errors
///
/// Failed, if a cell that was meant is not as it should be.
pub(super) fn judge(
    context: &Context,
    plan: &Plan,
    results: &ResultsDir,
    options: &RunOptions,
) -> Result<()> {
    let kept = results.read_all(plan);
    kept.faults.iter().for_each(|fault| context.report.warn(fault));
    let mut summary = Summary::of(plan, &kept.results);
    let meant: Vec<_> = options.cells(plan).into_iter().map(|cell| &cell.id).collect();
    summary.cells.retain(|judged| meant.contains(&&judged.cell.id));
    context.report.say(&shown(&summary));
    require_good(&summary)
}

/// Refuses a matrix that is not as it should be.
pub(super) fn require_good(summary: &Summary<'_>) -> Result<()> {
    let bad = summary.cells.iter().filter(|cell| !cell.state.is_good()).count();
    if bad == 0 {
        return Ok(());
    }
    let reason =
        format!("{bad} of {} are not as they should be", counted(summary.cells.len(), "cell", "cells"));
    Err(Failure::new(Exit::Failed, format!("plan {}", summary.plan.id), reason).into())
}

fn shown(summary: &Summary<'_>) -> String {
    let head = ["KERNEL", "PROJECT", "RESULT"].map(str::to_owned).to_vec();
    let rows = summary
        .cells
        .iter()
        .map(|judged| vec![judged.cell.kernel.to_string(), judged.cell.project.clone(), judged.words()]);
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}
