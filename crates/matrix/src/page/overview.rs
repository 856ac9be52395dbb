// SPDX-License-Identifier: GPL-2.0
//! The page's head, and what runs came to: the whole in a line, how many cells are what, what is
//! not as it was.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use report::{counted, seconds};

use super::cell_body::anchor;
use crate::history::{CellChange, RecordedCell, RunRecord, since};
use crate::results::ResultsDir;
use crate::shown::{keyword, moment, said_count, sign, total};
use crate::summary::{CellState, Summary};

/// So many changes, and machines, are named.
const NAMED: (usize, usize) = (200, 4);

/// So many runs are listed.
const RUNS: usize = 12;

/// The head: the whole in a line, the counts, and of what plan all this is.
pub(super) fn header(summary: &Summary<'_>, results: &ResultsDir, history: &[RunRecord]) -> Markup {
    let counts = summary.counts();
    let file = summary.plan.file.as_ref().map_or("Matrix", |file| file.as_str());
    html! {
        header {
            p.of { (file) }
            h1 { (summary.headline()) }
            (bar(&counts))
            ul.counts {
                @for (state, count) in listed(&counts) {
                    li { span class={ "chip " (keyword(state)) } { span aria-hidden="true" { (sign(state)) } " " (said_count(state, count)) } }
                }
            }
            (facts(summary, results))
            (contents(summary, history))
        }
    }
}

fn listed(counts: &BTreeMap<CellState, usize>) -> impl Iterator<Item = (CellState, usize)> {
    CellState::ALL.into_iter().filter_map(|state| Some((state, *counts.get(&state)?)))
}

/// The counts as lengths; the same is said in words below it.
fn bar(counts: &BTreeMap<CellState, usize>) -> Markup {
    html! {
        div.bar aria-hidden="true" {
            @for (state, count) in listed(counts) {
                span class=(keyword(state)) style={ "flex-grow:" (count) } {}
            }
        }
    }
}

fn facts(summary: &Summary<'_>, results: &ResultsDir) -> Markup {
    let (kernels, projects) = (summary.plan.kernels.len(), summary.plan.projects.len());
    let shape =
        format!("{} × {}", counted(kernels, "kernel", "kernels"), counted(projects, "project", "projects"));
    let ran = ran(summary);
    html! {
        dl.facts {
            div { dt { "Size" } dd { (shape) ", " (counted(summary.cells.len(), "cell", "cells")) } }
            div { dt { "Total time" } dd { (seconds(total(summary))) } }
            @if let Some(ran) = ran { div { dt { "Ran" } dd { (ran) } } }
            @if let Some(machines) = machines(summary) { div { dt { "On" } dd { (machines) } } }
            div { dt { "Plan" } dd { code { (summary.plan.id) } } }
            div { dt { "Tool" } dd { (summary.plan.tool) } }
            div { dt { "Results" } dd { code { (results.dir()) } } }
        }
    }
}

/// When the first cell began and the last one ended.
fn ran(summary: &Summary<'_>) -> Option<String> {
    let results = || summary.cells.iter().filter_map(|cell| cell.result);
    let first = moment(results().map(|result| result.began).min()?);
    let ended = |result: &crate::cell_result::CellResult| result.began.saturating_add(result.seconds as u64);
    let last = moment(results().map(ended).max()?);
    if first == last {
        return Some(first);
    }
    // Of a time on the same day the hour is enough.
    let last = if first.get(..10) == last.get(..10) { last.get(11..).unwrap_or_default() } else { &last };
    Some(format!("{} to {last}", first.trim_end_matches(" UTC")))
}

fn machines(summary: &Summary<'_>) -> Option<String> {
    let results = summary.cells.iter().filter_map(|cell| cell.result);
    let names: BTreeSet<&str> = results.map(|result| result.machine.as_str()).collect();
    let named: Vec<&str> = names.iter().copied().take(NAMED.1).collect();
    let more = match names.len().saturating_sub(NAMED.1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

fn contents(summary: &Summary<'_>, history: &[RunRecord]) -> Markup {
    let counts = summary.counts();
    let has = |states: &[CellState]| states.iter().any(|state| counts.contains_key(state));
    let sections = [
        (true, "failed", "What failed"),
        (true, "changed", "What changed"),
        (true, "matrix", "The matrix"),
        (has(&[CellState::KnownFailure]), "known", "Known failures"),
        (has(&[CellState::Passed, CellState::Skipped]), "others", "What passed or was skipped"),
        (!history.is_empty(), "runs", "Runs"),
    ];
    html! {
        nav aria-label="On this page" {
            ul { @for (_, at, title) in sections.iter().filter(|(is, ..)| *is) { li { a href={ "#" (at) } { (title) } } } }
        }
    }
}

/// What is not as it was in the run before.
pub(super) fn changed(summary: &Summary<'_>, history: &[RunRecord]) -> Markup {
    let (before, found) = since(summary, history).unzip();
    let found = found.unwrap_or_default();
    let when = before.map(|run| moment(run.began)).unwrap_or_default();
    html! {
        section #changed aria-labelledby="changed-title" {
            h2 #changed-title { "What changed" }
            @if before.is_none() { p.quiet { "No earlier run is recorded." } }
            @else if found.is_empty() { p.quiet { "Nothing changed since the run of " (when) "." } }
            @else {
                p.quiet { (counted(found.len(), "change", "changes")) " since the run of " (when) "." }
                ul.changes { @for change in found.iter().take(NAMED.0) { (change_line(change)) } }
                @if found.len() > NAMED.0 { p.quiet { "And " (found.len() - NAMED.0) " more." } }
            }
        }
    }
}

fn change_line(change: &CellChange) -> Markup {
    let name = html! { (change.title) };
    html! {
        li {
            span.name {
                @match &change.is {
                    Some(is) => a href={ "#" (anchor(&is.cell)) } { (name) },
                    None => (name),
                }
            }
            span.turn {
                (standing(change.was.as_ref(), "new"))
                span aria-hidden="true" { " → " } span.unseen { ", now " }
                (standing(change.is.as_ref(), "gone"))
            }
        }
    }
}

fn standing(cell: Option<&RecordedCell>, none: &str) -> Markup {
    html! {
        @match cell {
            Some(cell) => span class={ "chip " (keyword(cell.state)) } {
                span aria-hidden="true" { (sign(cell.state)) } " " (cell.words)
            },
            None => span.chip { (none) },
        }
    }
}

/// What the newest runs came to.
pub(super) fn runs(history: &[RunRecord]) -> Markup {
    let states: Vec<CellState> = CellState::ALL
        .into_iter()
        .filter(|state| history.iter().take(RUNS).any(|run| run.counts().contains_key(state)))
        .collect();
    html! {
        @if !history.is_empty() {
            section #runs aria-labelledby="runs-title" {
                h2 #runs-title { "Runs" }
                table.runs {
                    caption.unseen { "The newest runs, and how many cells were what in each" }
                    thead {
                        tr {
                            th scope="col" { "Began" }
                            th scope="col" { "Plan" }
                            @for state in &states { th scope="col" { (state.words()) } }
                        }
                    }
                    tbody { @for run in history.iter().take(RUNS) { (run_row(run, &states)) } }
                }
            }
        }
    }
}

fn run_row(run: &RunRecord, states: &[CellState]) -> Markup {
    let counts = run.counts();
    html! {
        tr {
            th scope="row" { (moment(run.began)) }
            td { code { (run.plan) } }
            @for state in states { td { (counts.get(state).copied().unwrap_or_default()) } }
        }
    }
}
