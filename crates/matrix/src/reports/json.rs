// SPDX-License-Identifier: GPL-2.0
//! A document for programs. What is in it stays in it; more may come.
//!
//! ```text
//! format    1
//! plan      the plan's identifier
//! tool      the version of the tool that made the plan
//! good      whether all is as it should be
//! seconds   how long the cells took, added up
//! counts    by state, each of: passed, failed, skipped, known-failure, passes-now, stopped, lost
//! cells     in the plan's order, each:
//!   cell      its identifier
//!   project   the name of its project
//!   kernel    the release of its kernel
//!   state     one of the states
//!   words     the same in words: `insmod oops`
//!   reason    why it is not passed, or null
//!   remedy    what to do about it, or null
//!   status    the exit status of the step that failed, 0 or 77; null, if there is no result
//!   step      the step that failed, or null
//!   seconds   how long it took; null, if there is no result
//!   began     when, in seconds since 1970; null, if there is no result
//!   machine   which ran it; null, if there is no result
//!   again     lines that do the same again
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::cell_result::CellResult;
use crate::shown::{again, keyword, reason, remedy, total};
use crate::summary::{CellState, JudgedCell, Summary};

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    plan: &'a str,
    tool: &'a str,
    good: bool,
    seconds: f64,
    counts: BTreeMap<&'static str, usize>,
    cells: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    cell: &'a str,
    project: &'a str,
    kernel: &'a str,
    state: CellState,
    words: String,
    reason: Option<Cow<'a, str>>,
    remedy: Option<&'a str>,
    status: Option<u8>,
    step: Option<String>,
    seconds: Option<f64>,
    began: Option<u64>,
    machine: Option<&'a str>,
    again: Vec<&'a str>,
}

/// The document.
pub fn json(summary: &Summary<'_>) -> serde_json::Value {
    let counts = summary.counts();
    let count = |state: CellState| (keyword(state), counts.get(&state).copied().unwrap_or_default());
    let document = Document {
        format: 1,
        plan: summary.plan.id.as_str(),
        tool: &summary.plan.tool,
        good: summary.is_good(),
        seconds: total(summary).as_secs_f64(),
        counts: CellState::ALL.into_iter().map(count).collect(),
        cells: summary.cells.iter().map(entry).collect(),
    };
    serde_json::to_value(document).expect("plain data")
}

fn entry<'a>(judged: &'a JudgedCell<'_>) -> Entry<'a> {
    let failed = judged.result.and_then(CellResult::failed);
    Entry {
        cell: judged.cell.id.as_str(),
        project: &judged.cell.project,
        kernel: judged.cell.kernel.as_str(),
        state: judged.state,
        words: judged.words(),
        reason: reason(judged),
        remedy: remedy(judged),
        status: judged.result.map(CellResult::status),
        step: failed.map(|step| step.step.to_string()),
        seconds: judged.result.map(|result| result.seconds),
        began: judged.result.map(|result| result.began),
        machine: judged.result.map(|result| result.machine.as_str()),
        again: again(judged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn programs_are_told_all_of_it() {
        let matrix = SampleMatrix::every_state();
        let document = json(&matrix.summary());
        assert_eq!((&document["format"], &document["good"]), (&1.into(), &false.into()));
        assert_eq!(document["counts"]["failed"], 5);
        assert_eq!(document["counts"].as_object().unwrap().len(), CellState::ALL.len());
        let first = &document["cells"][0];
        assert_eq!((&first["project"], &first["state"]), (&"guard".into(), &"failed".into()));
        assert_eq!(
            (&first["words"], &first["status"], &first["step"]),
            (&"insmod oops".into(), &21.into(), &"insmod".into())
        );
        assert!(first["reason"].as_str().unwrap().starts_with("KASAN"));
        let lost = document["cells"].as_array().unwrap().iter().find(|cell| cell["state"] == "lost").unwrap();
        assert!(
            lost["seconds"].is_null() && lost["status"].is_null() && lost["again"] == serde_json::json!([])
        );
    }
}
