// SPDX-License-Identifier: GPL-2.0
//! The table, kernels by projects: a word a cell, each of which leads to where the cell is told.

use maud::{Markup, html};

use super::cell_body::{anchor, class};
use crate::grid::{CellGrid, GridRow};
use crate::plan::PlannedKernel;
use crate::shown::{keyword, meaning, sign};
use crate::summary::{CellState, JudgedCell, Summary};

/// The section with the table and its legend.
pub(super) fn section(summary: &Summary<'_>) -> Markup {
    let grid = CellGrid::of(summary);
    html! {
        section #matrix tabindex="-1" aria-labelledby="matrix-title" {
            h2 #matrix-title { "The matrix" }
            @if !grid.rows.is_empty() {
                div.tools {
                    label { input #only type="checkbox"; " Only kernels with something that failed" }
                    label #find hidden { "Kernels or projects with " input type="search" autocomplete="off"; }
                    output #found for="find" {}
                }
                div.frame role="region" aria-label="The matrix" tabindex="0" { (table(&grid)) }
                (legend())
            }
        }
    }
}

fn table(grid: &CellGrid<'_, '_>) -> Markup {
    html! {
        table.matrix {
            caption { "Kernels, the newest first, by projects. Each cell leads to what came of it." }
            thead {
                tr {
                    th scope="col" { "Kernel" }
                    @for project in &grid.projects {
                        th scope="col" { (project.name) " " span.quiet { (project.version) } }
                    }
                }
            }
            tbody { @for row in &grid.rows { (table_row(row)) } }
        }
    }
}

fn table_row(row: &GridRow<'_, '_>) -> Markup {
    html! {
        tr.good[row.is_good()] {
            th scope="row" { (row.kernel.release) " " span.quiet { (about(row.kernel)) } }
            @for cells in &row.cells {
                @match &cells[..] {
                    [] => td.none { span aria-hidden="true" { "·" } span.unseen { "not in the matrix" } },
                    [cell] => td class=(class(cell)) { (link(cell)) },
                    cells => td { @for cell in cells { span class=(class(cell)) { (link(cell)) } } },
                }
            }
        }
    }
}

/// What there is to know of a kernel but its name.
fn about(kernel: &PlannedKernel) -> String {
    let stands_for = kernel.stands_for.is_some().then_some("sanitizing");
    let words = [kernel.suite.as_deref(), Some(kernel.architecture.debian()), stands_for];
    words.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn link(cell: &JudgedCell<'_>) -> Markup {
    // The words of what failed say how, not that it did.
    let state = (cell.state == CellState::Failed).then_some("failed: ");
    html! {
        a href={ "#" (anchor(&cell.cell.id)) } {
            span aria-hidden="true" { (sign(cell.state)) } " "
            @if let Some(state) = state { span.unseen { (state) } }
            (cell.words())
        }
    }
}

fn legend() -> Markup {
    html! {
        dl.legend {
            @for state in CellState::ALL {
                div {
                    dt { span class={ "chip " (keyword(state)) } {
                        span aria-hidden="true" { (sign(state)) } " " (state.words())
                    } }
                    dd { (meaning(state)) }
                }
            }
            div { dt { span.chip { "·" } } dd { "Not in the matrix." } }
        }
    }
}
