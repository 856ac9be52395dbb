// SPDX-License-Identifier: GPL-2.0
//! What tables and pages say of a cell's state, and of a time, each in one way.

use std::borrow::Cow;
use std::time::Duration;

use report::counted;
use time::OffsetDateTime;

use crate::cell_result::{CellResult, StepResult};
use crate::summary::{CellState, JudgedCell, Summary};

/// A sign that stands before the words of a state, for whoever sees no colours.
pub(crate) fn sign(state: CellState) -> &'static str {
    match state {
        CellState::Passed => "✓",
        CellState::Failed => "✗",
        CellState::Skipped => "–",
        CellState::KnownFailure => "≈",
        CellState::PassesNow => "↑",
        CellState::Stopped => "■",
        CellState::Lost => "?",
    }
}

/// A state as one word, for names of classes and keys of documents: as it is serialized.
pub(crate) fn keyword(state: CellState) -> &'static str {
    match state {
        CellState::Passed => "passed",
        CellState::Failed => "failed",
        CellState::Skipped => "skipped",
        CellState::KnownFailure => "known-failure",
        CellState::PassesNow => "passes-now",
        CellState::Stopped => "stopped",
        CellState::Lost => "lost",
    }
}

/// What a state means, in a sentence.
pub(crate) fn meaning(state: CellState) -> &'static str {
    match state {
        CellState::Passed => "All steps passed.",
        CellState::Failed => "A step failed; the words say which, and how.",
        CellState::Skipped => "Not for this kernel, or nothing to do there; the reason is with the cell.",
        CellState::KnownFailure => "Failed as the matrix's file says that it does.",
        CellState::PassesNow => "Passed, and the matrix's file says that it fails: remove that entry.",
        CellState::Stopped => "The run was ended before the cell was.",
        CellState::Lost => "There is no result of it.",
    }
}

/// The sign and the words of a cell.
pub(crate) fn signed_words(cell: &JudgedCell<'_>) -> String {
    format!("{} {}", sign(cell.state), cell.words())
}

/// How many cells are what, the worst first, in words: `2 failed, 1 lost, 9 passed`.
pub(crate) fn tally(summary: &Summary<'_>) -> String {
    let counts = summary.counts();
    let said = CellState::ALL.iter().filter_map(|state| Some(said_count(*state, *counts.get(state)?)));
    said.collect::<Vec<_>>().join(", ")
}

/// So many cells are that: `2 known failures`.
pub(crate) fn said_count(state: CellState, count: usize) -> String {
    match state {
        CellState::KnownFailure => counted(count, "known failure", "known failures"),
        CellState::PassesNow => counted(count, "passes now", "pass now"),
        other => format!("{count} {}", other.words()),
    }
}

/// Why a cell is what it is, in a line that says so by itself.
pub(crate) fn reason<'c>(cell: &'c JudgedCell<'_>) -> Option<Cow<'c, str>> {
    let reason = cell.reason().filter(|reason| !reason.is_empty())?;
    Some(match cell.state {
        CellState::PassesNow => Cow::Owned(format!("said to fail: {reason}")),
        _ => Cow::Borrowed(reason),
    })
}

/// What to do about it, where that is known.
pub(crate) fn remedy<'c>(cell: &'c JudgedCell<'_>) -> Option<&'c str> {
    match cell.state {
        CellState::PassesNow => Some("remove the entry from the matrix's file: it holds no more"),
        CellState::Lost | CellState::Stopped => Some("run the matrix again: what is done already is kept"),
        _ => cell.result?.failed()?.remedy.as_deref(),
    }
}

/// The cells in a state, in the plan's order.
pub(crate) fn in_state<'s, 'a>(summary: &'s Summary<'a>, state: CellState) -> Vec<&'s JudgedCell<'a>> {
    summary.cells.iter().filter(|cell| cell.state == state).collect()
}

/// The cells that are not as they should be, the worst first.
pub(crate) fn not_good<'s, 'a>(summary: &'s Summary<'a>) -> Vec<&'s JudgedCell<'a>> {
    let bad = CellState::ALL.into_iter().filter(|state| !state.is_good());
    bad.flat_map(|state| in_state(summary, state)).collect()
}

/// How long the cells took, added up.
pub(crate) fn total(summary: &Summary<'_>) -> Duration {
    let results = summary.cells.iter().filter_map(|cell| cell.result);
    results.map(took).sum()
}

/// How long a cell took.
pub(crate) fn took(result: &CellResult) -> Duration {
    Duration::try_from_secs_f64(result.seconds).unwrap_or_default()
}

/// How long a step took.
pub(crate) fn step_took(step: &StepResult) -> Duration {
    Duration::try_from_secs_f64(step.seconds).unwrap_or_default()
}

/// A time in seconds since 1970 as people read it, in UTC: `2026-11-28 08:30 UTC`.
pub(crate) fn moment(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let Some(time) = time else { return format!("{seconds} s after 1970") };
    let (date, month) = (time.date(), u8::from(time.month()));
    let (hour, minute) = (time.hour(), time.minute());
    format!("{}-{month:02}-{:02} {hour:02}:{minute:02} UTC", date.year(), date.day())
}

/// The lines that do again what was done, to be shown with a cell: of one that failed that of the
/// step, else those of all its steps.
pub(crate) fn again<'a>(cell: &JudgedCell<'a>) -> Vec<&'a str> {
    let Some(result) = cell.result else { return Vec::new() };
    match result.failed() {
        Some(step) => vec![step.again.as_str()],
        None => result.steps.iter().map(|step| step.again.as_str()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(1_795_854_600), "2026-11-28 08:30 UTC");
        assert_eq!(moment(951_782_399), "2000-02-28 23:59 UTC");
        assert_eq!(moment(u64::MAX), "18446744073709551615 s after 1970");
    }

    #[test]
    fn a_keyword_is_what_a_state_is_written_as() {
        for state in CellState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), keyword(state));
        }
        let signs: std::collections::BTreeSet<_> = CellState::ALL.into_iter().map(sign).collect();
        assert_eq!(signs.len(), CellState::ALL.len());
    }

    #[test]
    fn the_whole_is_told_in_a_sentence() {
        let matrix = crate::sample::SampleMatrix::every_state();
        let summary = matrix.summary();
        assert_eq!(summary.headline(), "8 of 48 cells are not as they should be");
        assert_eq!(
            tally(&summary),
            "5 failed, 1 passes now, 1 lost, 1 stopped, 2 known failures, 5 skipped, 33 passed"
        );
        let none = Summary { cells: Vec::new(), ..summary.clone() };
        assert_eq!((none.headline().as_str(), tally(&none)), ("The matrix has no cells", String::new()));
    }
}
