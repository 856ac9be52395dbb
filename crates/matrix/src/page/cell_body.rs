// SPDX-License-Identifier: GPL-2.0
//! A cell as it is opened: its verdict, its steps, what there is to read of it, and what it depends
//! on.

use camino::Utf8Path;
use maud::{Markup, html};
use report::{counted, seconds, size};

use crate::cell_result::{CellResult, StepResult, status_word};
use crate::log_excerpt::{ExcerptLimit, LogExcerpt};
use crate::plan::{CellId, CellInput};
use crate::results::ResultsDir;
use crate::shown::{again, keyword, moment, reason, remedy, sign, step_took, took};
use crate::summary::{CellState, JudgedCell};

/// A reason that is longer is shown whole only when the cell is opened.
const SHORT: usize = 240;

/// Where logs are, and how much of each is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogShelf<'a> {
    /// The directory of results.
    pub(super) results: &'a ResultsDir,
    /// How much of each.
    pub(super) limit: ExcerptLimit,
}

/// The name of a cell's place in the page.
pub(super) fn anchor(cell: &CellId) -> String {
    format!("c-{cell}")
}

/// The state with its sign, in its colours.
pub(super) fn chip(cell: &JudgedCell<'_>) -> Markup {
    html! {
        span class={ "chip " (class(cell)) } {
            span aria-hidden="true" { (sign(cell.state)) } " " (cell.words())
        }
    }
}

/// The class of its state.
pub(super) fn class(cell: &JudgedCell<'_>) -> &'static str {
    keyword(cell.state)
}

/// The cell, to be opened: `name` is what it is called where it stands.
pub(super) fn details(cell: &JudgedCell<'_>, name: &Markup, logs: &LogShelf<'_>) -> Markup {
    let time = cell.result.map(|result| seconds(took(result)));
    html! {
        details.cell {
            summary {
                (chip(cell))
                span.name { (name) }
                @if let Some(time) = time { span.time { (time) } }
                @if let Some(reason) = reason(cell) { span.reason { (shortened(&reason)) } }
            }
            div.body id=(anchor(&cell.cell.id)) { (body(cell, logs)) }
        }
    }
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(SHORT) {
        Some((at, _)) => format!("{}…", &reason[..at]),
        None => reason.to_owned(),
    }
}

fn body(cell: &JudgedCell<'_>, logs: &LogShelf<'_>) -> Markup {
    let failed = cell.result.and_then(CellResult::failed);
    html! {
        @if let Some(reason) = reason(cell).filter(|reason| reason.chars().count() > SHORT) {
            p.whole { (reason) }
        }
        @if let Some(remedy) = remedy(cell) { p { span.label { "What to do" } " " (remedy) } }
        @if let Some(step) = failed { (findings(step, cell)) }
        @match cell.result {
            Some(result) if is_quiet(cell.state) => { (steps_line(result)) (again_lines(cell)) }
            Some(result) => { (again_lines(cell)) (steps(cell, result)) }
            None => {}
        }
        @if let Some(step) = failed { (log_parts(step, logs)) }
        (inputs(cell))
        (origin(cell))
    }
}

/// Whether there are many of it, and little to say of each.
fn is_quiet(state: CellState) -> bool {
    matches!(state, CellState::Passed | CellState::Skipped)
}

/// What is known of a failure: what happened, where the reason is another, the compiler's words, the
/// kernel's trace.
fn findings(step: &StepResult, cell: &JudgedCell<'_>) -> Markup {
    let said = (cell.reason() != Some(step.reason.as_str())).then_some(step.reason.as_str());
    html! {
        @if let Some(said) = said { p { span.label { "What happened" } " " (said) } }
        @if let Some(complaint) = &step.complaint {
            h4 { "What the compiler complains of" }
            pre tabindex="0" { (complaint) }
        }
        @if let Some(trace) = &step.trace {
            h4 { "Trace, led back to the source" }
            pre tabindex="0" { (trace) }
        }
    }
}

/// The lines that do the same again, as one text: a cell that passed is to be no large part of a
/// page.
fn again_lines(cell: &JudgedCell<'_>) -> Markup {
    let lines = again(cell);
    html! {
        @if !lines.is_empty() {
            h4 { "To see it again" }
            pre.again tabindex="0" { (lines.join("\n")) }
        }
    }
}

/// The steps and their times, in a line: for a cell of which there is no more to say.
fn steps_line(result: &CellResult) -> Markup {
    let said = |step: &StepResult| {
        format!("{} {} in {}", step.step, status_word(step.status), seconds(step_took(step)))
    };
    html! { p { (result.steps.iter().map(said).collect::<Vec<_>>().join(", ")) } }
}

fn steps(cell: &JudgedCell<'_>, result: &CellResult) -> Markup {
    let begun: Vec<_> = result.steps.iter().map(|step| &step.step).collect();
    let others = cell.cell.steps.iter().filter(|step| !begun.contains(step));
    html! {
        table.steps {
            thead { tr { th scope="col" { "Step" } th scope="col" { "Result" } th scope="col" { "Time" } } }
            tbody {
                @for step in &result.steps {
                    tr {
                        th scope="row" { (step.step) }
                        td { (status_word(step.status)) @if step.status != 0 { " (status " (step.status) ")" } }
                        td { (seconds(step_took(step))) }
                    }
                }
                @for step in others { tr { th scope="row" { (step) } td { "not begun" } td {} } }
            }
        }
    }
}

fn log_parts(step: &StepResult, logs: &LogShelf<'_>) -> Markup {
    let parts = [("Console of the machine", &step.console), ("What the tool said", &step.log)];
    html! {
        @for (title, name) in parts {
            @if let Some(name) = name { (log_part(title, name, logs)) }
        }
    }
}

fn log_part(title: &str, name: &Utf8Path, logs: &LogShelf<'_>) -> Markup {
    match LogExcerpt::read(logs.results, name, logs.limit) {
        Ok(log) => html! {
            details.log {
                summary { (title) " " span.quiet { (size(log.bytes)) " in " (log.place) } }
                // A line break right after the tag is no part of what it holds.
                pre tabindex="0" { "\n" (log.text()) }
            }
        },
        Err(reason) => html! { p { span.label { (title) } " " (reason) } },
    }
}

fn inputs(cell: &JudgedCell<'_>) -> Markup {
    let all = &cell.cell.inputs;
    let wide = all.iter().map(|input| input.what.chars().count()).max().unwrap_or_default();
    let line = |input: &CellInput| format!("{:wide$}  {}\n", input.what, input.identity);
    html! {
        @if !all.is_empty() {
            details.inputs {
                summary { "Depends on " (counted(all.len(), "thing", "things")) }
                pre tabindex="0" { (all.iter().map(line).collect::<String>()) }
            }
        }
    }
}

/// Who ran it when.
fn origin(cell: &JudgedCell<'_>) -> Markup {
    let result = cell.result.map(|result| {
        let again = match result.retries {
            0 => String::new(),
            again => format!(", begun again {} before", counted(again, "time", "times")),
        };
        format!(" on {} at {}{again}, tool {}", result.machine, moment(result.began), result.tool)
    });
    html! { p.quiet { "Cell " code { (cell.cell.id) } (result.as_deref().unwrap_or(", not run")) } }
}
