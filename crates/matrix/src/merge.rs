// SPDX-License-Identifier: GPL-2.0
//! Puts results together that several machines have made of one plan.

use anyhow::Result;
use camino::Utf8Path;
use report::failure::Failure;

use crate::cell_result::CellResult;
use crate::plan::{Cell, Plan};
use crate::results::ResultsDir;

/// What was put together.
#[derive(Debug)]
pub struct MergedResults {
    /// The plan of all of them.
    pub plan: Plan,
    /// Where they are now.
    pub results: ResultsDir,
    /// What the user should know: results that are not whole, cells with two results that differ.
    pub notices: Vec<String>,
}

/// Puts the results of `parts` together in `dir`, which may be one of them.
///
/// # Errors
///
/// Refused, if they are not all of one plan.
pub fn merge(parts: &[(ResultsDir, Plan)], dir: &Utf8Path) -> Result<MergedResults> {
    let Some((first, plan)) = parts.first() else {
        return Err(Failure::usage("merge", "there is nothing to put together").into());
    };
    if let Some((other, its)) = parts.iter().find(|(_, its)| its.id != plan.id) {
        let reason = format!("has results of plan {}, and {} of plan {}", its.id, first.dir(), plan.id);
        return Err(Failure::refused(other.dir().as_str(), reason)
            .remedy("make one plan, and give it to all: cargo kmod matrix run --plan FILE --partition K/N")
            .into());
    }
    if let Ok((there, its)) = ResultsDir::open(dir)
        && its.id != plan.id
        && !its.cells.is_empty()
    {
        let reason = format!("has results of another plan already, {}", its.id);
        return Err(Failure::refused(there.dir().as_str(), reason).remedy("--results NEWDIR").into());
    }
    let results = ResultsDir::create(dir)?;
    results.write_plan(plan)?;
    let mut notices = Vec::new();
    for (part, _) in parts.iter().filter(|(part, _)| part.dir() != results.dir()) {
        for cell in &plan.cells {
            take(part, &results, cell, &mut notices)?;
        }
    }
    Ok(MergedResults { plan: plan.clone(), results, notices })
}

/// Takes the result of a cell, unless there is a better one.
fn take(from: &ResultsDir, to: &ResultsDir, cell: &Cell, notices: &mut Vec<String>) -> Result<()> {
    let new = match from.read(cell) {
        Ok(Some(new)) => new,
        Ok(None) => return Ok(()),
        Err(fault) => {
            notices.push(format!("{}: {fault}", cell.title()));
            return Ok(());
        }
    };
    let old = to.read(cell).ok().flatten();
    if let Some(old) = &old {
        if differ(old, &new) {
            let (one, other) = ((&old.machine, old.status()), (&new.machine, new.status()));
            notices.push(format!(
                "{} ended with status {} on {} and {} on {}: the one that failed counts",
                cell.title(),
                one.1,
                one.0,
                other.1,
                other.0
            ));
        }
        if !is_better(&new, old) {
            return Ok(());
        }
    }
    let claim = to.claim(cell)?;
    let logs = claim.fresh_logs()?.to_owned();
    let files = new.steps.iter().flat_map(|step| step.log.iter().chain(&step.console));
    for file in files {
        // Only files of this cell, by their names: a result is no reason to read anything else.
        let Some(name) = file.file_name() else { continue };
        let source = from.logs(&cell.id).join(name);
        if source.is_file() && !source.is_symlink() {
            fs_err::copy(&source, logs.join(name))?;
        }
    }
    to.write(&new)
}

fn differ(old: &CellResult, new: &CellResult) -> bool {
    old.is_final() && new.is_final() && old.status() != new.status()
}

/// Whether a result says more than another: one that lasts, and of two such the one that failed.
fn is_better(new: &CellResult, old: &CellResult) -> bool {
    match (new.is_final(), old.is_final()) {
        (true, false) => true,
        (false, true) => false,
        _ => new.failed().is_some() || old.failed().is_none(),
    }
}
