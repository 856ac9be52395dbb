// SPDX-License-Identifier: GPL-2.0
//! The cells of a matrix as a table: a row a kernel, a column a project.

use std::collections::BTreeMap;

use crate::plan::{PlannedKernel, PlannedProject};
use crate::summary::{JudgedCell, Summary};

/// Kernels by projects.
#[derive(Clone, Debug)]
pub(crate) struct CellGrid<'s, 'a> {
    /// What the columns are of.
    pub(crate) projects: Vec<&'a PlannedProject>,
    /// What there is of each kernel.
    pub(crate) rows: Vec<GridRow<'s, 'a>>,
}

/// A kernel, and for each project its cells: one, or none where none is asked for.
#[derive(Clone, Debug)]
pub(crate) struct GridRow<'s, 'a> {
    /// The kernel.
    pub(crate) kernel: &'a PlannedKernel,
    /// By column.
    pub(crate) cells: Vec<Vec<&'s JudgedCell<'a>>>,
}

impl GridRow<'_, '_> {
    /// Whether all its cells are as they should be.
    pub(crate) fn is_good(&self) -> bool {
        self.cells.iter().flatten().all(|cell| cell.state.is_good())
    }
}

impl<'s, 'a> CellGrid<'s, 'a> {
    /// The cells of a summary; kernels and projects without a cell are left out.
    pub(crate) fn of(summary: &'s Summary<'a>) -> Self {
        let mut at: BTreeMap<(&str, &str), Vec<&JudgedCell<'a>>> = BTreeMap::new();
        for judged in &summary.cells {
            let place = (judged.cell.kernel.as_str(), judged.cell.project.as_str());
            at.entry(place).or_default().push(judged);
        }
        let named = |project: &&'a PlannedProject| at.keys().any(|(_, name)| *name == project.name);
        let projects: Vec<&'a PlannedProject> = summary.plan.projects.iter().filter(named).collect();
        let row = |kernel: &'a PlannedKernel| {
            let of = |project: &&PlannedProject| {
                at.get(&(kernel.release.as_str(), project.name.as_str())).cloned().unwrap_or_default()
            };
            GridRow { kernel, cells: projects.iter().map(of).collect() }
        };
        let rows = summary.plan.kernels.iter().map(row);
        let rows = rows.filter(|row| row.cells.iter().any(|cells| !cells.is_empty())).collect();
        Self { projects, rows }
    }

    /// As rows of text, `words` for each cell and a dash where there is none; the head comes first.
    pub(crate) fn texts(&self, words: impl Fn(&JudgedCell<'a>) -> String) -> Vec<Vec<String>> {
        let head = ["kernel".to_owned()].into_iter();
        let head = head.chain(self.projects.iter().map(|project| project.name.clone())).collect();
        let row = |row: &GridRow<'s, 'a>| {
            let said = |cells: &Vec<&JudgedCell<'a>>| match &cells[..] {
                [] => "-".to_owned(),
                cells => cells.iter().map(|cell| words(cell)).collect::<Vec<_>>().join(", "),
            };
            let name = [row.kernel.release.to_string()].into_iter();
            name.chain(row.cells.iter().map(said)).collect()
        };
        [head].into_iter().chain(self.rows.iter().map(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleMatrix;

    #[test]
    fn a_cell_is_where_its_kernel_and_its_project_are() {
        let matrix = SampleMatrix::every_state();
        let summary = matrix.summary();
        let grid = CellGrid::of(&summary);
        assert_eq!((grid.rows.len(), grid.projects.len()), (12, 4));
        for row in &grid.rows {
            for (cells, project) in row.cells.iter().zip(&grid.projects) {
                assert!(cells.iter().all(|cell| cell.cell.project == project.name));
                assert!(cells.iter().all(|cell| cell.cell.kernel == row.kernel.release));
            }
        }
        let shown: usize = grid.rows.iter().flat_map(|row| &row.cells).map(Vec::len).sum();
        assert_eq!(shown, summary.cells.len());
        assert!(!grid.rows[0].is_good());
    }

    #[test]
    fn what_is_not_asked_for_is_a_dash_and_what_has_no_cell_is_no_row() {
        let matrix = SampleMatrix::every_state();
        let mut summary = matrix.summary();
        summary.cells.retain(|cell| cell.cell.project != "tracer");
        let first = summary.cells[0].cell;
        summary.cells.retain(|cell| cell.cell.kernel != first.kernel || cell.cell.project == first.project);
        let last = summary.cells.last().unwrap().cell.kernel.clone();
        summary.cells.retain(|cell| cell.cell.kernel != last);
        let texts = CellGrid::of(&summary).texts(JudgedCell::words);
        assert_eq!((texts.len(), texts[0].len()), (12, 4));
        assert_eq!(texts[0][..2], ["kernel", "guard"]);
        assert_eq!(texts[1][2..], ["-", "-"]);
    }
}
