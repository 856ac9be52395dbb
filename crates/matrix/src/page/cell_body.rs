// SPDX-License-Identifier: GPL-2.0
//! A cell as it is opened: its verdict, its steps, what there is to read of it, and what it depends
//! on.

use std::borrow::Cow;

use camino::Utf8Path;
use maud::{Markup, html};
use report::{counted, seconds, size};

use crate::cell_result::{CellResult, StepResult, status_word};
use crate::log_excerpt::{ExcerptLimit, LogExcerpt};
use crate::plan::{CellId, CellInput};
use crate::results::ResultsDir;
use crate::shown::{again, keyword, moment, reason, remedy, sign, step_took, took};
use crate::summary::JudgedCell;

/// A reason that is longer is shown whole only when the cell is opened.
const SHORT: usize = 240;

/// So much of a trace and of a compiler's complaint is shown, in bytes.
const LONG: usize = 32 << 10;

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
        (again_lines(cell))
        @if let Some(result) = cell.result { (steps(cell, result)) }
        @if let Some(step) = failed { (log_parts(step, logs)) }
        (inputs(cell))
        p.quiet { "This is " (ran(cell)) "." }
    }
}

/// What is known of a failure: what happened, where the reason is another, the compiler's words,
/// the kernel's trace.
fn findings(step: &StepResult, cell: &JudgedCell<'_>) -> Markup {
    let said = (cell.reason() != Some(step.reason.as_str())).then_some(step.reason.as_str());
    html! {
        @if let Some(said) = said { p { span.label { "What happened" } " " (said) } }
        @if let Some(complaint) = &step.complaint {
            h4 { "What the compiler complains of" }
            pre tabindex="0" { (bounded(complaint)) }
        }
        @if let Some(trace) = &step.trace {
            h4 { "Trace, led back to the source" }
            pre tabindex="0" { (bounded(trace)) }
        }
    }
}

/// The beginning of a text that came with a result.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= LONG {
        return Cow::Borrowed(text);
    }
    let end = (0..=LONG).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let left_out = size((text.len() - end) as u64);
    Cow::Owned(format!("{}\n[{left_out} left out; the whole is in the result of the cell]", &text[..end]))
}

fn again_lines(cell: &JudgedCell<'_>) -> Markup {
    let lines = again(cell);
    html! {
        @if !lines.is_empty() {
            h4 { "To see it again" }
            pre.again tabindex="0" { (lines.join("\n")) }
        }
    }
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
                div.tail tabindex="0" role="region" aria-label=(title) { pre { "\n" (log.text()) } }
            }
        },
        Err(reason) => html! { p { span.label { (title) } " " (reason) } },
    }
}

fn inputs(cell: &JudgedCell<'_>) -> Markup {
    let count = cell.cell.inputs.len();
    html! {
        @if count > 0 {
            details.inputs {
                summary { "Depends on " (counted(count, "thing", "things")) }
                pre tabindex="0" { (input_lines(cell)) }
            }
        }
    }
}

/// What a cell depends on, each with its hash or version.
pub(super) fn input_lines(cell: &JudgedCell<'_>) -> String {
    let all = &cell.cell.inputs;
    let wide = all.iter().map(|input| input.what.chars().count()).max().unwrap_or_default();
    let line = |input: &CellInput| format!("{:wide$}  {}\n", input.what, input.identity);
    all.iter().map(line).collect()
}

/// Which cell it is, and who ran it when.
pub(super) fn ran(cell: &JudgedCell<'_>) -> String {
    let id = &cell.cell.id;
    let Some(result) = cell.result else { return format!("cell {id}, not run") };
    let again = match result.retries {
        0 => String::new(),
        again => format!(", begun again {}", counted(again, "time", "times")),
    };
    let (machine, when) = (&result.machine, moment(result.began));
    format!("cell {id} on {machine} at {when}{again}, tool {}", result.tool)
}
