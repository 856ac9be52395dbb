// SPDX-License-Identifier: GPL-2.0
//! Tables for people.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Columns padded to their widest cell, two blanks apart; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_aligned() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        assert_eq!(table(&[row(&["A", "BB"]), row(&["ccc", "d"])]), "A    BB\nccc  d");
        // What is wide on a terminal, and a row that has no last cell.
        assert_eq!(table(&[row(&["名", "B", "C"]), row(&["ccc"])]), "名   B  C\nccc");
        assert_eq!(table(&[]), "");
    }
}
