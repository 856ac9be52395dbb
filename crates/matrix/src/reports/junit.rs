// SPDX-License-Identifier: GPL-2.0
//! JUnit's XML: a suite a kernel, a case a project. What is known to fail is skipped there, and
//! what has no result is an error, as that says nothing of the module.

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::cell_result::{CellResult, StepResult, status_word};
use crate::grid::{CellGrid, GridRow};
use crate::log_excerpt::{ExcerptLimit, LogExcerpt};
use crate::results::ResultsDir;
use crate::shown::{reason, remedy, took};
use crate::summary::{CellState, JudgedCell, Summary};

/// The report's name.
const NAME: &str = "matrix";

/// So much of all logs together, in bytes, and of each no more than of its end.
const LOGS: u64 = 16 << 20;

/// The report of all cells.
///
/// # Errors
///
/// If it cannot be written as XML.
pub fn junit(summary: &Summary<'_>, results: &ResultsDir) -> Result<String> {
    let failed = summary.cells.iter().filter(|cell| cell.state == CellState::Failed).count();
    let shared = ExcerptLimit::shared(LOGS, failed);
    let limit = ExcerptLimit { beginning: 0, end: shared.end };
    let mut report = Report::new(NAME);
    let grid = CellGrid::of(summary);
    report.add_test_suites(grid.rows.iter().map(|row| suite(row, results, limit)));
    Ok(report.to_string()?)
}

fn suite(row: &GridRow<'_, '_>, results: &ResultsDir, limit: ExcerptLimit) -> TestSuite {
    let mut suite = TestSuite::new(row.kernel.release.as_str());
    suite.add_test_cases(row.cells.iter().flatten().map(|cell| case(cell, results, limit)));
    suite
}

fn case(cell: &JudgedCell<'_>, results: &ResultsDir, limit: ExcerptLimit) -> TestCase {
    let mut case = TestCase::new(cell.cell.project.as_str(), status(cell));
    case.set_classname(cell.cell.kernel.as_str());
    if let Some(result) = cell.result {
        case.set_time(took(result));
    }
    let failed = cell.result.and_then(CellResult::failed).filter(|_| cell.state == CellState::Failed);
    if let Some(text) = failed.and_then(|step| log(step, results, limit)) {
        case.set_system_out(text);
    }
    case
}

/// The end of what the machine printed, or of what the tool said, where no machine ran.
fn log(step: &StepResult, results: &ResultsDir, limit: ExcerptLimit) -> Option<String> {
    let name = step.console.as_ref().or(step.log.as_ref())?;
    Some(LogExcerpt::read(results, name, limit).map_or_else(|why| why, |log| log.text()))
}

fn status(cell: &JudgedCell<'_>) -> TestCaseStatus {
    let reason = reason(cell).unwrap_or_default();
    let not = |kind, what: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(what).set_message(&*reason).set_description(description(cell));
        status
    };
    match cell.state {
        CellState::Passed => TestCaseStatus::success(),
        CellState::Skipped => skipped(reason.into_owned()),
        CellState::KnownFailure => skipped(format!("known failure: {reason}")),
        CellState::Failed => {
            let failed = cell.result.and_then(CellResult::failed);
            not(NonSuccessKind::Failure, failed.map_or("failed", |step| status_word(step.status)))
        }
        CellState::PassesNow => not(NonSuccessKind::Failure, cell.state.words()),
        CellState::Stopped | CellState::Lost => not(NonSuccessKind::Error, cell.state.words()),
    }
}

fn skipped(why: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

/// All there is to say of a cell but its log.
fn description(cell: &JudgedCell<'_>) -> String {
    let failed = cell.result.and_then(CellResult::failed);
    let words = [format!("{}: {}", cell.words(), reason(cell).unwrap_or_default())];
    let remedy = remedy(cell).map(|remedy| format!("what to do: {remedy}"));
    let parts = [failed.and_then(|step| step.complaint.clone()), failed.and_then(|step| step.trace.clone())];
    let again = failed.map(|step| format!("again: {}", step.again));
    let rest = remedy.into_iter().chain(parts.into_iter().flatten()).chain(again);
    words.into_iter().chain(rest).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn what_is_not_good_fails_there_and_the_rest_does_not() {
        let matrix = SampleMatrix::every_state();
        let dir = tempfile::tempdir().unwrap();
        let results = ResultsDir::create(camino::Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        matrix.write(&results, 5);
        let text = junit(&matrix.summary(), &results).unwrap();
        // Failed, and what passes now; lost, and what was stopped; skipped, and known failures.
        for (tag, count) in
            [("<failure", 6), ("<error", 2), ("<skipped", 7), ("<testcase", 48), ("<testsuite ", 12)]
        {
            assert_eq!(text.matches(tag).count(), count, "{tag}");
        }
        assert!(text.contains("known failure: needs folios of 6.16"));
        assert!(text.contains("again: cargo kmod insmod --project /srv/modules/guard"));
        assert!(text.contains("guard/check.c:118"));
        assert!(text.contains("Kernel panic - not syncing"));
        // What XML cannot hold, and what would end an element.
        assert!(!text.contains("<script>") && !text.contains('\u{7}') && !text.contains('\u{0}'));
    }
}
