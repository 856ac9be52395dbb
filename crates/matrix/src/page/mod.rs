// SPDX-License-Identifier: GPL-2.0
//! A matrix as a page: one file of HTML that needs no network, and no script to be read.
//!
//! Two things hold for all that is in it, wherever it came from. Text becomes HTML by the templates
//! alone, which escape it; and when the page is whole, `readable` goes over all of it, so that no
//! character is left that a browser, or whoever reads, would take for something else. The page
//! itself forbids the browser to fetch anything, and to run any script but its own.

mod cell_body;
mod cell_list;
mod cell_record;
#[cfg(test)]
mod contrast;
mod grid_table;
mod overview;
mod policy;

use anyhow::Result;
use maud::{DOCTYPE, PreEscaped, html as markup};

use crate::history::RunRecord;
use crate::log_excerpt::ExcerptLimit;
use crate::results::ResultsDir;
use crate::shown::{not_good, sign};
use crate::summary::{CellState, Summary};

/// How the page looks, in both schemes and on paper.
const STYLE: &str = include_str!("style.css");

/// What a page does besides where scripts run: a filter, and arrow keys in the table.
const SCRIPT: &str = include_str!("script.js");

/// So many bytes of logs are in a page at most; cells share them.
const LOGS: u64 = 6 << 20;

/// The page: `history` has the newest run first, with or without the one that the summary shows.
///
/// # Errors
///
/// None now: what cannot be read of a log is said in its place.
pub fn html(summary: &Summary<'_>, results: &ResultsDir, history: &[RunRecord]) -> Result<String> {
    let logs = cell_body::LogShelf { results, limit: ExcerptLimit::shared(LOGS, logs(summary)) };
    let state = not_good(summary).first().map_or(CellState::Passed, |cell| cell.state);
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy::policy(SCRIPT));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (sign(state)) " " (summary.headline()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#matrix" { "To the matrix" }
                (overview::header(summary, results, history))
                main {
                    (cell_list::bad(summary, &logs))
                    (overview::changed(summary, history))
                    (grid_table::section(summary))
                    (cell_list::known(summary, &logs))
                    (cell_list::others(summary))
                    (overview::runs(history))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(readable(&page.into_string()))
}

/// How many logs the page shows.
fn logs(summary: &Summary<'_>) -> usize {
    let failed = summary.cells.iter().filter_map(|cell| cell.result?.failed());
    failed.map(|step| usize::from(step.log.is_some()) + usize::from(step.console.is_some())).sum()
}

/// Text in which every character is one that is seen: control characters as `cat -v` has them,
/// those that turn text round by the sign for what cannot be shown.
pub(crate) fn readable(text: &str) -> String {
    let mut readable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => readable.push(c),
            '\0'..='\u{1f}' | '\u{7f}' => readable.extend(['^', char::from(c as u8 ^ 0x40)]),
            c if is_unseen(c) => readable.push('\u{fffd}'),
            c => readable.push(c),
        }
    }
    readable
}

/// Control characters of the second set, what turns text round, and what has no width.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{HOSTILE, SampleMatrix};

    fn page(matrix: &SampleMatrix, history: &[RunRecord]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let results = ResultsDir::create(camino::Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        matrix.write(&results, 40);
        html(&matrix.summary(), &results, history).unwrap()
    }

    #[test]
    fn hostile_text_stays_text() {
        let text = page(&SampleMatrix::every_state(), &[]);
        // The page's own is the only one.
        assert_eq!(text.matches("<script").count(), 1);
        assert_eq!(text.matches("</script").count(), 1);
        assert!(!text.contains("<img"));
        assert!(text.contains("&lt;/pre&gt;&lt;/details&gt;&lt;script&gt;document.title='taken over'"));
        assert!(text.contains("&amp;lt;already&amp;gt;"));
        assert!(HOSTILE.contains('\u{1b}') && HOSTILE.contains('\u{202e}'));
        assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        assert!(!text.contains('\u{202e}') && text.contains("\u{fffd}turned round"));
        assert!(text.contains("\u{fffd}\u{fffd}^@ no text ^A"));
        assert!(text.contains("no reply from | the &lt;device&gt;"));
    }

    #[test]
    fn what_is_unseen_is_shown() {
        for (text, shown) in [
            ("a\tb\n", "a\tb\n"),
            ("\0\u{7}\u{1b}[m\r\u{7f}", "^@^G^[[m^M^?"),
            ("\u{9b}2J\u{202e}\u{2066}\u{feff}\u{200b}", "\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("é 名 ✗", "é 名 ✗"),
        ] {
            assert_eq!(readable(text), shown);
        }
    }

    #[test]
    fn every_cell_is_in_the_table_and_has_its_place_once() {
        let matrix = SampleMatrix::every_state();
        let text = page(&matrix, &[]);
        for cell in &matrix.plan.cells {
            assert_eq!(text.matches(&format!("id=\"c-{}\"", cell.id)).count(), 1, "{}", cell.title());
            assert!(text.contains(&format!("href=\"#c-{}\"", cell.id)), "{}", cell.title());
        }
        for state in CellState::ALL {
            assert!(text.contains(crate::shown::meaning(state)), "{state:?}");
        }
        assert!(
            text.contains(
                "cargo kmod build --project /srv/modules/nls-fix --kernel 7.2.11+deb13-cloud-amd64"
            )
        );
        assert!(text.contains("implicit declaration of function"));
        assert!(text.contains("guard/check.c:118"));
        assert!(text.contains("needs folios of 6.16"));
    }

    #[test]
    fn nothing_in_it_is_elsewhere() {
        let text = page(&SampleMatrix::every_state(), &[]);
        for word in
            ["http:", "https:", "//cdn", "<link", "<iframe", "<object", "<form action", "@import", "url("]
        {
            assert!(!text.contains(word), "{word}");
        }
        assert!(!text.contains(" src=\"") && text.contains("default-src 'none'"));
        assert!(text.split(" href=\"").skip(1).all(|rest| rest.starts_with('#')));
    }

    #[test]
    fn what_changed_is_told_from_the_run_before() {
        let matrix = SampleMatrix::every_state();
        let shown = RunRecord::of(&matrix.summary(), 1_795_854_600);
        let mut before = RunRecord { began: 1_795_768_200, ..shown.clone() };
        let title = matrix.plan.cells[0].title();
        let was = before.cells.get_mut(&title).unwrap();
        (was.state, was.words) = (CellState::Passed, "passed".to_owned());
        let text = page(&matrix, &[shown.clone(), before]);
        assert!(text.contains("1 change since the run of 2026-11-27 08:30 UTC"), "{text}");
        let text = page(&matrix, &[shown.clone(), shown]);
        assert!(text.contains("Nothing changed since the run of"));
        assert!(page(&matrix, &[]).contains("No earlier run is recorded"));
    }

    #[test]
    fn a_matrix_without_cells_is_a_page() {
        let mut matrix = SampleMatrix::every_state();
        matrix.plan.cells.clear();
        assert!(page(&matrix, &[]).contains("The matrix has no cells"));
    }
}
