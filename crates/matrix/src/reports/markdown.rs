// SPDX-License-Identifier: GPL-2.0
//! Markdown as forges show it: for the page that a run of a workflow has.

use std::fmt::Write as _;

use report::{counted, seconds};

use crate::grid::CellGrid;
use crate::shown::{again, in_state, not_good, reason, remedy, signed_words, tally, total};
use crate::summary::{CellState, JudgedCell, Summary};

/// So many cells are told one by one, and so many characters of a reason: a forge takes no more
/// than a megabyte.
const TOLD: (usize, usize) = (200, 400);

/// The matrix, the counts, and what failed with the lines that do it again.
pub fn markdown(summary: &Summary<'_>) -> String {
    let mut text = format!("## {}\n\n", summary.headline());
    let cells = counted(summary.cells.len(), "cell", "cells");
    let (plan, tool) = (escaped(summary.plan.id.as_str()), escaped(&summary.plan.tool));
    let took = seconds(total(summary));
    writeln!(text, "{}. {cells} took {took}; plan {plan}, tool {tool}.\n", tally(summary)).ok();
    table(&mut text, summary);
    failures(&mut text, &not_good(summary));
    known(&mut text, &in_state(summary, CellState::KnownFailure));
    text
}

fn table(text: &mut String, summary: &Summary<'_>) {
    let words = |cell: &JudgedCell<'_>| {
        let words = escaped(&signed_words(cell));
        if cell.state.is_good() { words } else { format!("**{words}**") }
    };
    let grid = CellGrid::of(summary);
    if grid.rows.is_empty() {
        return;
    }
    let mut rows = grid.texts(words).into_iter();
    for head in rows.by_ref().take(1) {
        let head: Vec<String> = head.iter().map(|name| escaped(name)).collect();
        writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len())).ok();
    }
    for mut row in rows {
        row[0] = escaped(&row[0]);
        writeln!(text, "| {} |", row.join(" | ")).ok();
    }
}

fn failures(text: &mut String, cells: &[&JudgedCell<'_>]) {
    if cells.is_empty() {
        return;
    }
    text.push_str("\n### What failed\n");
    for cell in cells.iter().take(TOLD.0) {
        writeln!(text, "\n**{}**: {}  ", escaped(&cell.cell.title()), escaped(&cell.words())).ok();
        writeln!(text, "{}", escaped(&shortened(&reason(cell).unwrap_or_default()))).ok();
        if let Some(remedy) = remedy(cell) {
            writeln!(text, "{}", escaped(&format!("What to do: {remedy}"))).ok();
        }
        let lines = again(cell);
        if !lines.is_empty() {
            text.push_str(&fenced(&lines.join("\n")));
        }
    }
    if cells.len() > TOLD.0 {
        writeln!(text, "\nAnd {} more.", cells.len() - TOLD.0).ok();
    }
}

fn known(text: &mut String, cells: &[&JudgedCell<'_>]) {
    if cells.is_empty() {
        return;
    }
    text.push_str("\n### Known failures\n\n");
    for cell in cells.iter().take(TOLD.0) {
        let why = shortened(&reason(cell).unwrap_or_default());
        let (title, words) = (escaped(&cell.cell.title()), escaped(&cell.words()));
        writeln!(text, "- {title}: {words}: {}", escaped(&why)).ok();
    }
    if cells.len() > TOLD.0 {
        writeln!(text, "\nAnd {} more.", cells.len() - TOLD.0).ok();
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TOLD.1) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Text in a line that Markdown takes for nothing but text.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '!' | '|' | '~' | '$' => {
                escaped.extend(['\\', c]);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A name after it would be told, and an address be a link.
            '@' => escaped.push_str("&#64;"),
            ':' if chars.peek() == Some(&'/') => escaped.push_str("&#58;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text in a block that it cannot end.
pub(crate) fn fenced(text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(runs + 1));
    let plain: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    format!("\n{fence}\n{plain}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn the_table_has_a_row_a_kernel_and_as_many_cells_in_each() {
        let matrix = SampleMatrix::every_state();
        let text = markdown(&matrix.summary());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 2 + 12, "{text}");
        let parts = |row: &str| row.replace("\\|", "").matches('|').count();
        assert!(rows.iter().all(|row| parts(row) == 6), "{text}");
        assert!(rows[2].contains("**✗ insmod oops**"), "{text}");
        assert!(text.contains("5 failed, 1 passes now"), "{text}");
        assert!(text.contains("\n```\ncargo kmod insmod --project /srv/modules/guard"), "{text}");
        assert!(text.contains("no reply from \\| the &lt;device&gt;"), "{text}");
        assert!(text.contains("needs folios of 6.16"), "{text}");
    }

    #[test]
    fn text_is_nothing_but_text() {
        for (text, shown) in [
            ("a|b", "a\\|b"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("[x](https://x)", "\\[x\\](https&#58;//x)"),
            ("known: build failed", "known: build failed"),
            ("two\nlines\r\n", "two lines  "),
            ("ask @somebody", "ask &#64;somebody"),
            ("a_b * `c`", "a\\_b \\* \\`c\\`"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(fenced("a\n```\nb"), "\n````\na\n```\nb\n````\n");
    }

    #[test]
    fn a_large_matrix_is_still_taken_by_a_forge() {
        let matrix = SampleMatrix::of_size(40, 50, 2);
        let text = markdown(&matrix.summary());
        assert!(text.len() < 1_000_000, "{}", text.len());
        assert!(text.contains("And 800 more."));
    }
}
