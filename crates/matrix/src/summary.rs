// SPDX-License-Identifier: GPL-2.0
//! A plan and what came of its cells, judged: what tables, pages and exit statuses are made from.

use std::collections::BTreeMap;

use report::counted;
use serde::{Deserialize, Serialize};

use crate::cell_result::{CellResult, is_of_the_machine, status_word};
use crate::plan::{Cell, CellId, KnownFailure, Plan};

/// What a cell is, once it was run or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellState {
    /// All its steps passed.
    Passed,
    /// A step failed.
    Failed,
    /// It is not for this kernel, with the reason.
    Skipped,
    /// It failed as it is known to.
    KnownFailure,
    /// It passed, and is said to be known to fail: that is to go from the file.
    PassesNow,
    /// The run was ended before it was.
    Stopped,
    /// There is no result.
    Lost,
}

impl CellState {
    /// All of them, the worst first.
    pub const ALL: [Self; 7] = [
        Self::Failed,
        Self::PassesNow,
        Self::Lost,
        Self::Stopped,
        Self::KnownFailure,
        Self::Skipped,
        Self::Passed,
    ];

    /// Whether a matrix with such a cell is good.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped | Self::KnownFailure)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::KnownFailure => "known failure",
            Self::PassesNow => "passes now",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// A cell and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedCell<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// What it is.
    pub state: CellState,
    /// What came of it; none of one that was not run.
    pub result: Option<&'a CellResult>,
}

impl JudgedCell<'_> {
    /// In a word or two: the state, and of what failed how.
    pub fn words(&self) -> String {
        match (self.state, self.result.and_then(CellResult::failed)) {
            (CellState::Failed, Some(step)) => format!("{} {}", step.step, status_word(step.status)),
            (CellState::KnownFailure, Some(step)) => {
                format!("known: {} {}", step.step, status_word(step.status))
            }
            (state, _) => state.words().to_owned(),
        }
    }

    /// Why it is what it is, in a line; nothing for one that passed.
    pub fn reason(&self) -> Option<&str> {
        let known = || self.cell.expect.as_ref().map(|known| known.reason.as_str());
        match self.state {
            CellState::Passed => None,
            CellState::KnownFailure | CellState::PassesNow => known(),
            CellState::Skipped => self.cell.skip.as_deref().or_else(|| {
                let skipped =
                    |step: &&crate::cell_result::StepResult| step.status == crate::cell_result::SKIPPED;
                Some(self.result?.steps.iter().find(skipped)?.reason.as_str())
            }),
            CellState::Failed => Some(self.result?.failed()?.reason.as_str()),
            CellState::Stopped => Some("the run was ended before the cell was"),
            CellState::Lost => Some("there is no result of it"),
        }
    }
}

/// All cells of a plan, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its cells, in its order.
    pub cells: Vec<JudgedCell<'a>>,
}

impl<'a> Summary<'a> {
    /// Judges what came of a plan. A cell without a result is lost.
    pub fn of(plan: &'a Plan, results: &'a BTreeMap<CellId, CellResult>) -> Self {
        let judged = |cell: &'a Cell| {
            let result = results.get(&cell.id);
            JudgedCell { cell, state: state(cell, result), result }
        };
        Self { plan, cells: plan.cells.iter().map(judged).collect() }
    }

    /// How many cells are what.
    pub fn counts(&self) -> BTreeMap<CellState, usize> {
        let mut counts = BTreeMap::new();
        for cell in &self.cells {
            *counts.entry(cell.state).or_default() += 1;
        }
        counts
    }

    /// The whole in a sentence.
    pub fn headline(&self) -> String {
        let all = self.cells.len();
        let bad = self.cells.iter().filter(|cell| !cell.state.is_good()).count();
        match (all, bad) {
            (0, _) => "The matrix has no cells".to_owned(),
            (1, 0) => "The one cell is as it should be".to_owned(),
            (_, 0) => format!("All {all} cells are as they should be"),
            (_, 1) => format!("1 of {} is not as it should be", counted(all, "cell", "cells")),
            _ => format!("{bad} of {} are not as they should be", counted(all, "cell", "cells")),
        }
    }

    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        self.cells.iter().all(|cell| cell.state.is_good())
    }
}

fn state(cell: &Cell, result: Option<&CellResult>) -> CellState {
    if cell.skip.is_some() {
        return CellState::Skipped;
    }
    let Some(result) = result else { return CellState::Lost };
    if result.stopped {
        return CellState::Stopped;
    }
    match (result.failed(), &cell.expect) {
        (None, _) if result.status() != 0 => CellState::Skipped,
        (None, Some(_)) => CellState::PassesNow,
        (None, None) => CellState::Passed,
        (Some(step), Some(known)) if fits(known, step) => CellState::KnownFailure,
        (Some(_), _) => CellState::Failed,
    }
}

fn fits(known: &KnownFailure, step: &crate::cell_result::StepResult) -> bool {
    // That a machine never came up is nobody's known failure.
    !is_of_the_machine(step.status)
        && known.step.as_ref().is_none_or(|wanted| *wanted == step.step)
        && known.status.is_none_or(|wanted| wanted == step.status)
}
