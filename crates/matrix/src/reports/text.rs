// SPDX-License-Identifier: GPL-2.0
//! What a terminal shows at the end: the table, the counts, and then, last and so in sight, what
//! failed, each with the line that does it again.

use report::{counted, seconds, table};

use crate::grid::CellGrid;
use crate::shown::{again, not_good, reason, remedy, signed_words, tally, took, total};
use crate::summary::{JudgedCell, Summary};

/// The matrix in lines of at most `width` characters, where names allow it: kernels by projects if
/// that fits, else a line a cell.
pub fn text(summary: &Summary<'_>, width: usize) -> String {
    let rows = CellGrid::of(summary).texts(signed_words);
    let grid = table(&plain(rows));
    let fits = grid.lines().all(|line| line.chars().count() <= width);
    let shown = if fits { grid } else { table(&plain(lines(summary))) };
    let took = seconds(total(summary));
    let cells = counted(summary.cells.len(), "cell", "cells");
    let mut parts = vec![shown, format!("{}; {cells} took {took}", tally(summary))];
    parts.extend(not_good(summary).into_iter().map(failure));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn lines(summary: &Summary<'_>) -> Vec<Vec<String>> {
    let head = ["kernel", "project", "result", "time"].map(str::to_owned).to_vec();
    let line = |cell: &JudgedCell<'_>| {
        let time = cell.result.map(|result| seconds(took(result))).unwrap_or_default();
        vec![cell.cell.kernel.to_string(), cell.cell.project.clone(), signed_words(cell), time]
    };
    [head].into_iter().chain(summary.cells.iter().map(line)).collect()
}

fn failure(cell: &JudgedCell<'_>) -> String {
    let mut text = format!("{}: {}", cell.cell.title(), signed_words(cell));
    let mut add = |label: &str, said: &str| text.push_str(&format!("\n  {label}{}", one_line(said)));
    if let Some(reason) = reason(cell) {
        add("", &reason);
    }
    if let Some(remedy) = remedy(cell) {
        add("what to do: ", remedy);
    }
    for line in again(cell) {
        add("again: ", line);
    }
    text
}

fn plain(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect()
}

/// Without anything that a terminal would act upon.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn kernels_by_projects_where_that_fits_and_a_line_a_cell_where_not() {
        let matrix = SampleMatrix::every_state();
        let summary = matrix.summary();
        let wide = text(&summary, 140);
        assert!(
            wide.starts_with("kernel  ") && wide.lines().next().unwrap().ends_with("v4l2loopback"),
            "{wide}"
        );
        let narrow = text(&summary, 80);
        assert_eq!(narrow.lines().take_while(|line| !line.is_empty()).count(), 1 + 48, "{narrow}");
        assert!(narrow.contains("✗ insmod oops"));
    }

    #[test]
    fn what_failed_comes_last_each_with_its_line() {
        let matrix = SampleMatrix::every_state();
        let shown = text(&matrix.summary(), 110);
        let (_, failures) = shown.split_once("5 failed, 1 passes now").unwrap();
        assert_eq!(failures.matches("\n\n").count(), 8, "{shown}");
        assert!(failures.contains("\n  what to do: run it again with a shell"), "{shown}");
        assert!(failures.contains("\n  again: cargo kmod insmod --project /srv/modules/guard"), "{shown}");
        assert!(failures.contains("v4l2loopback on 6.1.0-40-rt-amd64: ■ stopped"), "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }
}
