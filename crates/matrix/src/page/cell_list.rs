// SPDX-License-Identifier: GPL-2.0
//! Cells one below the other: first those that are not as they should be, then those that are known
//! to fail, and below the table all others, by kernel.

use maud::{Markup, html};
use report::counted;

use super::cell_body::{LogShelf, details};
use super::cell_record::record;
use crate::grid::CellGrid;
use crate::shown::{in_state, not_good};
use crate::summary::{CellState, JudgedCell, Summary};

/// What is not as it should be, the worst first.
pub(super) fn bad(summary: &Summary<'_>, logs: &LogShelf<'_>) -> Markup {
    let cells = not_good(summary);
    html! {
        section #failed aria-labelledby="failed-title" {
            h2 #failed-title { "What failed" (count(cells.len())) }
            @if cells.is_empty() { p.quiet { "Nothing did." } }
            @for cell in &cells { (titled(cell, logs)) }
        }
    }
}

/// What fails as it is known to, if anything does.
pub(super) fn known(summary: &Summary<'_>, logs: &LogShelf<'_>) -> Markup {
    let cells = in_state(summary, CellState::KnownFailure);
    html! {
        @if !cells.is_empty() {
            section #known aria-labelledby="known-title" {
                h2 #known-title { "Known failures" (count(cells.len())) }
                @for cell in &cells { (titled(cell, logs)) }
            }
        }
    }
}

/// All others.
pub(super) fn others(summary: &Summary<'_>) -> Markup {
    let grid = CellGrid::of(summary);
    let others =
        |cells: &[Vec<&JudgedCell<'_>>]| -> usize { cells.iter().flatten().filter(is_other).count() };
    let all: usize = grid.rows.iter().map(|row| others(&row.cells)).sum();
    html! {
        @if all > 0 {
            section #others aria-labelledby="others-title" {
                h2 #others-title { "What passed or was skipped" (count(all)) }
                @for row in grid.rows.iter().filter(|row| others(&row.cells) > 0) {
                    // So many lines high before it is laid out.
                    div.kernel style={ "--lines:" (others(&row.cells)) } {
                        h3 { code { (row.kernel.release) } }
                        @for cell in row.cells.iter().flatten().filter(is_other) {
                            (record(cell))
                        }
                    }
                }
            }
        }
    }
}

fn is_other(cell: &&&JudgedCell<'_>) -> bool {
    matches!(cell.state, CellState::Passed | CellState::Skipped)
}

fn titled(cell: &JudgedCell<'_>, logs: &LogShelf<'_>) -> Markup {
    let name = html! { b { (cell.cell.project) } " on " code { (cell.cell.kernel) } };
    details(cell, &name, logs)
}

/// How many, beside a title.
fn count(cells: usize) -> Markup {
    html! { " " span.count aria-hidden="true" { (cells) } span.unseen { ": " (counted(cells, "cell", "cells")) } }
}
