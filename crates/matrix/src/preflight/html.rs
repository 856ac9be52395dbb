// SPDX-License-Identifier: GPL-2.0
//! What is said of new kernels, as one page of HTML that needs nothing else.

use maud::{DOCTYPE, Markup, html};

use super::newer::NewKernel;
use super::preflight_report::{PreflightCell, PreflightReport};
use crate::page::readable;
use crate::shown::sign;

/// How the page looks; the browser's own colours, light or dark.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
                     pre{overflow-x:auto;padding:.6rem;border:1px solid;border-radius:4px}\
                     .bad{font-weight:600}";

/// The page.
pub fn page(report: &PreflightReport) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.headline()) }
                style { (STYLE) }
            }
            body {
                h1 { (report.headline()) }
                @for kernel in &report.kernels { (section(report, kernel)) }
            }
        }
    };
    readable(&page.into_string())
}

fn section(report: &PreflightReport, kernel: &NewKernel) -> Markup {
    html! {
        section {
            h2 { (kernel.release) }
            p { "In " (kernel.suite) ", after " (kernel.before) "." }
            @for cell in report.of(kernel) { (article(cell)) }
        }
    }
}

fn article(cell: &PreflightCell) -> Markup {
    let lines: Vec<String> = cell
        .why()
        .map(str::to_owned)
        .into_iter()
        .chain(cell.changes.iter().map(ToString::to_string))
        .collect();
    html! {
        h3.bad[!cell.state.is_good()] { (sign(cell.state)) " " (cell.project) ": " (cell.said()) }
        @if !lines.is_empty() { pre { (lines.join("\n")) } }
        @for note in &cell.notes { p { (note) } }
        @if let Some(again) = &cell.again { p { "The same again:" } pre { (again) } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn what_others_have_written_is_text() {
        let mut report = sample();
        report.cells[0].complaint = Some("</pre><script>alert(1)</script>\u{202e}".to_owned());
        let page = page(&report);
        assert!(page.contains("&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}"), "{page}");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("now void bsg_setup_queue(int x, int y)"), "{page}");
    }
}
