// SPDX-License-Identifier: GPL-2.0
//! What runs of a matrix came to: a record of each, and what changed from one to the next.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8PathBuf;
use report::durable;
use serde::{Deserialize, Serialize};

use crate::plan::{Cell, CellId, PlanId};
use crate::results::ResultsDir;
use crate::summary::{CellState, JudgedCell, Summary};

/// So many records are kept, the newest.
pub const KEPT: usize = 50;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// The plan that it was of.
    pub plan: PlanId,
    /// The version of the tool that made the plan.
    pub tool: String,
    /// What its cells came to, by what they are called: `guard on 7.2.13+deb14-cloud-amd64`.
    pub cells: BTreeMap<String, RecordedCell>,
}

/// What a cell came to in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCell {
    /// Which it was; another one if anything had changed that its result depends on.
    pub cell: CellId,
    /// What it was.
    pub state: CellState,
    /// The same in words.
    pub words: String,
}

/// The records that there are.
#[derive(Clone, Debug, Default)]
pub struct RunHistory {
    /// The newest first.
    pub runs: Vec<RunRecord>,
    /// What is to be said of files that are no records: they are passed over.
    pub faults: Vec<String>,
}

/// What is not as it was: a cell that is new, or gone, or came to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellChange {
    /// What the cell is called.
    pub title: String,
    /// What it was; none, if there was none.
    pub was: Option<RecordedCell>,
    /// What it is; none, if there is none.
    pub is: Option<RecordedCell>,
}

impl RunRecord {
    /// What a summary comes to, of a run that began then.
    pub fn of(summary: &Summary<'_>, began: u64) -> Self {
        let recorded = |judged: &JudgedCell<'_>| {
            let (cell, state, words) = (judged.cell.id.clone(), judged.state, judged.words());
            (judged.cell.title(), RecordedCell { cell, state, words })
        };
        let cells = summary.cells.iter().map(recorded).collect();
        Self { began, plan: summary.plan.id.clone(), tool: summary.plan.tool.clone(), cells }
    }

    /// How many cells were what.
    pub fn counts(&self) -> BTreeMap<CellState, usize> {
        let mut counts = BTreeMap::new();
        for cell in self.cells.values() {
            *counts.entry(cell.state).or_default() += 1;
        }
        counts
    }

    /// Its file's name: the newest has the last name.
    fn file_name(&self) -> String {
        // A plan may come from anywhere, and what it calls itself is to be no path.
        let plan: String = self.plan.as_str().chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        format!("{:012}-{plan}.json", self.began)
    }
}

impl CellChange {
    /// In words: `passed, now insmod oops`; `new: passed`; `gone, was passed`.
    pub fn words(&self) -> String {
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => format!("{}, now {}", was.words, is.words),
            (None, Some(is)) => format!("new: {}", is.words),
            (Some(was), None) => format!("gone, was {}", was.words),
            (None, None) => String::new(),
        }
    }
}

/// Keeps what a run came to, and removes records that are too old.
///
/// # Errors
///
/// If it cannot be written.
pub fn record(results: &ResultsDir, summary: &Summary<'_>, began: u64) -> Result<RunRecord> {
    let record = RunRecord::of(summary, began);
    let mut text = serde_json::to_vec(&record)?;
    text.push(b'\n');
    durable::replace(&results.history().join(record.file_name()), &text)?;
    for old in files(results)?.into_iter().skip(KEPT) {
        fs_err::remove_file(old)?;
    }
    Ok(record)
}

/// Reads all records.
///
/// # Errors
///
/// If the directory cannot be read.
pub fn read(results: &ResultsDir) -> Result<RunHistory> {
    let mut history = RunHistory::default();
    for file in files(results)? {
        let text = fs_err::read_to_string(&file).map_err(|error| error.to_string());
        let parsed = text.and_then(|text| {
            serde_json::from_str(&text)
                .map_err(|error| format!("{file} is no whole record of a run: {error}"))
        });
        match parsed {
            Ok(run) => history.runs.push(run),
            Err(fault) => history.faults.push(fault),
        }
    }
    history.runs.sort_by_key(|run| std::cmp::Reverse(run.began));
    Ok(history)
}

/// The files of records, the newest first; others in the directory are nobody's.
fn files(results: &ResultsDir) -> Result<Vec<Utf8PathBuf>> {
    let dir = results.history();
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let path = entry?.into_path();
        let named = path.file_name().and_then(|name| name.strip_suffix(".json")?.split_once('-'));
        if named.is_some_and(|(began, _)| began.bytes().all(|byte| byte.is_ascii_digit())) {
            files.push(path);
        }
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    Ok(files)
}

/// The run before the one that a summary shows, and what is not as it was then. The run that is
/// shown may be recorded already or not, and a summary may show a part of it alone.
pub fn since<'h>(
    summary: &Summary<'_>,
    history: &'h [RunRecord],
) -> Option<(&'h RunRecord, Vec<CellChange>)> {
    let newest = history.first()?;
    let shown = RunRecord::of(summary, newest.began);
    let is_shown = newest.plan == shown.plan
        && shown.cells.iter().all(|(title, cell)| newest.cells.get(title) == Some(cell));
    let before = if is_shown { history.get(1)? } else { newest };
    let mut found = changes(before, &shown);
    // What is in the plan is not gone, even if it is not shown.
    let planned: BTreeSet<String> = summary.plan.cells.iter().map(Cell::title).collect();
    found.retain(|change| change.is.is_some() || !planned.contains(&change.title));
    Some((before, found))
}

/// What is not in `current` as it was in `previous`; what is worse now comes first.
pub fn changes(previous: &RunRecord, current: &RunRecord) -> Vec<CellChange> {
    let titles: BTreeSet<&String> = previous.cells.keys().chain(current.cells.keys()).collect();
    let change = |title: &String| {
        let (was, is) = (previous.cells.get(title).cloned(), current.cells.get(title).cloned());
        CellChange { title: title.clone(), was, is }
    };
    let said = |cell: &Option<RecordedCell>| cell.as_ref().map(|cell| (cell.state, cell.words.clone()));
    let mut changes: Vec<CellChange> =
        titles.into_iter().map(change).filter(|change| said(&change.was) != said(&change.is)).collect();
    changes.sort_by_key(|change| match &change.is {
        Some(is) => CellState::ALL.iter().position(|state| *state == is.state),
        None => Some(CellState::ALL.len()),
    });
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    struct Scratch {
        _dir: tempfile::TempDir,
        results: ResultsDir,
    }

    fn scratch() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let results = ResultsDir::create(camino::Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        Scratch { _dir: dir, results }
    }

    #[test]
    fn records_are_read_back_newest_first_and_the_oldest_go() {
        let scratch = scratch();
        let matrix = SampleMatrix::every_state();
        assert!(read(&scratch.results).unwrap().runs.is_empty());
        for began in 0..=KEPT as u64 {
            record(&scratch.results, &matrix.summary(), 999_980 + began).unwrap();
        }
        let history = read(&scratch.results).unwrap();
        assert_eq!(history.runs.len(), KEPT);
        assert!(history.runs.is_sorted_by(|one, other| one.began > other.began));
        assert_eq!(history.runs[0], RunRecord::of(&matrix.summary(), 999_980 + KEPT as u64));
        assert_eq!(history.runs[0].counts(), matrix.summary().counts());
        assert!(history.faults.is_empty());
    }

    #[test]
    fn what_is_no_whole_record_is_passed_over_and_said() {
        let scratch = scratch();
        let matrix = SampleMatrix::every_state();
        let whole = record(&scratch.results, &matrix.summary(), 1000).unwrap();
        let dir = scratch.results.history();
        let text = fs_err::read_to_string(dir.join(whole.file_name())).unwrap();
        fs_err::write(dir.join("000000002000-half.json"), &text[..text.len() / 2]).unwrap();
        fs_err::write(dir.join("000000003000-empty.json"), "").unwrap();
        fs_err::write(dir.join("000000004000-bytes.json"), [0xff, 0xfe]).unwrap();
        fs_err::write(dir.join(".000000005000-x.json.unfinished"), "{").unwrap();
        fs_err::write(dir.join("README"), "mine").unwrap();
        let history = read(&scratch.results).unwrap();
        assert_eq!(history.runs, [whole]);
        assert_eq!(history.faults.len(), 3, "{:?}", history.faults);
        assert!(history.faults.iter().all(|fault| fault.contains("000-")), "{:?}", history.faults);
    }

    #[test]
    fn a_plan_that_calls_itself_a_path_is_recorded_in_the_directory() {
        let plan: PlanId = serde_json::from_str(r#""../../x""#).unwrap();
        let record = RunRecord { began: 7, plan, tool: String::new(), cells: BTreeMap::new() };
        assert_eq!(record.file_name(), "000000000007-x.json");
    }

    fn run(cells: &[(&str, CellState, &str)]) -> RunRecord {
        let id: CellId = serde_json::from_str(r#""0123456789abcdef""#).unwrap();
        let cell = |state, words: &str| RecordedCell { cell: id.clone(), state, words: words.to_owned() };
        let plan: PlanId = serde_json::from_str(r#""0""#).unwrap();
        let cells = cells.iter().map(|(title, state, words)| ((*title).to_owned(), cell(*state, words)));
        RunRecord { began: 0, plan, tool: String::new(), cells: cells.collect() }
    }

    #[test]
    fn what_changed_is_told_worst_first() {
        use CellState::{Failed, Passed, Skipped};
        let before = run(&[
            ("a on 1", Passed, "passed"),
            ("b on 1", Failed, "insmod oops"),
            ("c on 1", Failed, "build failed"),
            ("d on 1", Skipped, "skipped"),
            ("same on 1", Failed, "insmod oops"),
        ]);
        let after = run(&[
            ("a on 1", Failed, "insmod hang"),
            ("b on 1", Passed, "passed"),
            ("c on 1", Failed, "insmod leak"),
            ("e on 1", Passed, "passed"),
            ("same on 1", Failed, "insmod oops"),
        ]);
        let found: Vec<(String, String)> =
            changes(&before, &after).iter().map(|change| (change.title.clone(), change.words())).collect();
        let expected = [
            ("a on 1", "passed, now insmod hang"),
            ("c on 1", "build failed, now insmod leak"),
            ("b on 1", "insmod oops, now passed"),
            ("e on 1", "new: passed"),
            ("d on 1", "gone, was skipped"),
        ];
        assert_eq!(found, expected.map(|(title, words)| (title.to_owned(), words.to_owned())));
        assert!(changes(&after, &after).is_empty());
    }

    #[test]
    fn the_run_before_is_not_the_one_that_is_shown() {
        let matrix = SampleMatrix::every_state();
        let (summary, other) = (matrix.summary(), run(&[("gone on 1", CellState::Passed, "passed")]));
        let shown = RunRecord::of(&summary, 5000);
        let before = |history: &[RunRecord]| since(&summary, history).map(|(before, _)| before.clone());
        assert_eq!(before(&[]), None);
        assert_eq!(before(std::slice::from_ref(&shown)), None);
        assert_eq!(before(&[shown.clone(), other.clone()]), Some(other.clone()));
        // It is not recorded yet.
        assert_eq!(before(std::slice::from_ref(&other)), Some(other.clone()));
        assert_eq!(since(&summary, std::slice::from_ref(&other)).unwrap().1.len(), 48 + 1);
        // A part of what was recorded.
        let part = Summary { cells: summary.cells[..7].to_vec(), ..summary.clone() };
        let history = [shown.clone(), RunRecord { began: 4000, ..shown }];
        let (found, changes) = since(&part, &history).unwrap();
        assert_eq!((found.began, changes.len()), (4000, 0));
    }
}
