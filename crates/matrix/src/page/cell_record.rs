// SPDX-License-Identifier: GPL-2.0
//! A cell of which there is little to say, as it passed or was skipped. There are thousands of
//! them, so each is one text: a page is as quick as it has few elements.

use maud::{Markup, html};
use report::seconds;

use super::cell_body::{anchor, class, input_lines, ran};
use crate::cell_result::{CellResult, StepResult, status_word};
use crate::shown::{again, reason, sign, step_took, took};
use crate::summary::JudgedCell;

/// What stands before the lines, with a blank.
const LABEL: usize = 9;

/// The cell, to be opened.
pub(super) fn record(cell: &JudgedCell<'_>) -> Markup {
    let time = cell.result.map(|result| seconds(took(result)));
    html! {
        details.cell {
            summary {
                span class={ "chip " (class(cell)) } { (sign(cell.state)) " " (cell.words()) }
                (cell.cell.project)
                @if let Some(time) = time { span.time { (time) } }
                @if let Some(reason) = reason(cell) { span.reason { (reason) } }
            }
            pre id=(anchor(&cell.cell.id)) tabindex="0" { (text(cell)) }
        }
    }
}

/// What there is to say, each thing with its label.
fn text(cell: &JudgedCell<'_>) -> String {
    let steps = cell.result.map(steps).unwrap_or_default();
    let parts = [
        ("steps", steps),
        ("again", again(cell).join("\n")),
        ("ran", ran(cell)),
        ("depends", input_lines(cell)),
    ];
    parts.iter().map(|(label, said)| labelled(label, said)).collect()
}

fn labelled(label: &str, said: &str) -> String {
    let line = |(at, line): (usize, &str)| {
        let label = if at == 0 { label } else { "" };
        format!("{label:LABEL$}{line}\n")
    };
    said.lines().enumerate().map(line).collect()
}

fn steps(result: &CellResult) -> String {
    let said = |step: &StepResult| {
        format!("{} {} in {}", step.step, status_word(step.status), seconds(step_took(step)))
    };
    result.steps.iter().map(said).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn each_line_is_below_its_label() {
        let matrix = SampleMatrix::every_state();
        let summary = matrix.summary();
        let cell = &summary.cells[1];
        let text = text(cell);
        let steps =
            "steps    build passed in 13.4 s\n         insmod passed in 4.1 s\nagain    cargo kmod build ";
        assert!(text.starts_with(steps), "{text}");
        assert!(text.contains(&format!("\nran      cell {} on ci-1 at 2026-11-28", cell.cell.id)), "{text}");
        assert!(text.contains("\ndepends  project nls-fix"), "{text}");
    }
}
