// SPDX-License-Identifier: GPL-2.0
//! What is said of new kernels: for a terminal, for programs, for a forge.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kmodfile::release::Release;
use report::counted;
use serde::{Deserialize, Serialize};

use super::newer::NewKernel;
use super::symbol_change::SymbolChange;
use crate::reports::{escaped, fenced};
use crate::summary::CellState;

/// So many projects are named in a sentence.
const NAMED: usize = 5;

/// What is said of new kernels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreflightReport {
    /// The kernels, newest first.
    pub kernels: Vec<NewKernel>,
    /// Each project on each of them.
    pub cells: Vec<PreflightCell>,
}

/// A project on a new kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreflightCell {
    /// The project.
    pub project: String,
    /// The new kernel.
    pub kernel: Release,
    /// The one that it comes after.
    pub before: Release,
    /// What came of it.
    pub state: CellState,
    /// The same in words, with the step that failed.
    pub words: String,
    /// Why.
    pub reason: Option<String>,
    /// The first line that a compiler called an error.
    pub complaint: Option<String>,
    /// The line that does the step again that failed.
    pub again: Option<String>,
    /// Whether nothing is known of it: the kernel could not be prepared, or the run was ended.
    pub untried: bool,
    /// Whether it failed on the kernel before, too.
    pub failed_before: bool,
    /// What has changed of what it uses.
    pub changes: Vec<SymbolChange>,
    /// What is not known.
    pub notes: Vec<String>,
}

impl PreflightCell {
    /// Puts the changes first that a compiler or a kernel complained of.
    pub(super) fn put_first_what_failed(&mut self) {
        let said = [&self.complaint, &self.reason].map(|text| text.clone().unwrap_or_default()).concat();
        let named = |change: &SymbolChange| {
            let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
            said.split(word).any(|word| word == change.symbol())
        };
        self.changes.sort_by_key(|change| !named(change));
    }

    /// Why, in a line; the compiler's own words, if there are any.
    pub(super) fn why(&self) -> Option<&str> {
        self.complaint.as_deref().or(self.reason.as_deref())
    }

    /// The words of its state, and that this is nothing new.
    pub(super) fn said(&self) -> String {
        if self.failed_before && !self.state.is_good() {
            return format!("{}, as on {}", self.words, self.before);
        }
        self.words.clone()
    }
}

impl PreflightReport {
    /// Whether nothing breaks.
    pub fn is_good(&self) -> bool {
        self.cells.iter().all(|cell| cell.state.is_good())
    }

    /// The whole in a sentence.
    pub fn headline(&self) -> String {
        let untried = self.cells.iter().filter(|cell| cell.untried).count();
        match untried {
            0 => self.known(),
            _ => format!("{}; {} could not be tried", self.known(), counted(untried, "cell", "cells")),
        }
    }

    /// What is known, in a sentence.
    fn known(&self) -> String {
        let kernels = counted(self.kernels.len(), "new kernel", "new kernels");
        let breaks = |cell: &&PreflightCell| !cell.state.is_good() && !cell.untried;
        let bad: Vec<&PreflightCell> = self.cells.iter().filter(breaks).collect();
        let changed =
            self.cells.iter().filter(|cell| cell.state.is_good() && !cell.changes.is_empty()).count();
        match (self.kernels.len(), bad.len(), changed) {
            (0, ..) => "The archive has no kernel that is newer than those of the last result".to_owned(),
            (_, 0, 0) => format!("{kernels}, and nothing breaks"),
            (_, 0, changed) => {
                let projects = counted(changed, "project uses", "projects use");
                format!("{kernels}, and nothing breaks; {projects} what has changed there")
            }
            _ => format!("{} of {kernels} {}", broken(&bad), named(&bad)),
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}.\n", self.headline());
        for kernel in &self.kernels {
            writeln!(text, "\n{} ({}), after {}", kernel.release, kernel.suite, kernel.before).ok();
            for cell in self.of(kernel) {
                writeln!(text, "  {}: {}", cell.project, cell.said()).ok();
                let again = cell.again.as_ref().map(|line| format!("again: {line}"));
                let lines = cell.why().map(str::to_owned).into_iter();
                let lines = lines.chain(cell.changes.iter().map(ToString::to_string));
                for line in lines.chain(cell.notes.iter().cloned()).chain(again) {
                    writeln!(text, "    {}", line.replace('\n', "\n    ")).ok();
                }
            }
        }
        text.trim_end().to_owned()
    }

    /// For a forge.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n", escaped(&self.headline()));
        for kernel in &self.kernels {
            let [release, suite, before] =
                [kernel.release.as_str(), &kernel.suite, kernel.before.as_str()].map(escaped);
            write!(text, "\n### {release} ({suite}), after {before}\n\n").ok();
            for cell in self.of(kernel) {
                let sign = crate::shown::sign(cell.state);
                let said = escaped(&format!("{sign} {}: {}", cell.project, cell.said()));
                let said = if cell.state.is_good() { said } else { format!("**{said}**") };
                writeln!(text, "- {said}").ok();
                details(&mut text, cell);
            }
        }
        text
    }

    /// The cells of a kernel.
    pub(super) fn of(&self, kernel: &NewKernel) -> impl Iterator<Item = &PreflightCell> {
        self.cells.iter().filter(|cell| cell.kernel == kernel.release)
    }
}

/// How many kernels break something.
fn broken(bad: &[&PreflightCell]) -> usize {
    bad.iter().map(|cell| &cell.kernel).collect::<BTreeSet<_>>().len()
}

/// What they break, by name where that is a line.
fn named(bad: &[&PreflightCell]) -> String {
    let projects: BTreeSet<&str> = bad.iter().map(|cell| cell.project.as_str()).collect();
    let verb = if broken(bad) == 1 { "breaks" } else { "break" };
    match projects.len() {
        ..=NAMED => format!("{verb} {}", projects.into_iter().collect::<Vec<_>>().join(", ")),
        many => format!("{verb} {many} projects"),
    }
}

/// What is below the item of a cell.
fn details(text: &mut String, cell: &PreflightCell) {
    let blocks = cell.why().map(str::to_owned).into_iter();
    let blocks = blocks.chain(cell.changes.iter().map(ToString::to_string));
    let all = blocks.collect::<Vec<_>>().join("\n");
    for block in [Some(all), cell.again.clone()].into_iter().flatten().filter(|block| !block.is_empty()) {
        let fenced = fenced(&block);
        let indented: Vec<String> = fenced.trim().lines().map(|line| format!("  {line}")).collect();
        write!(text, "\n{}\n\n", indented.join("\n")).ok();
    }
    for note in &cell.notes {
        writeln!(text, "  {}", escaped(note)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn a_terminal_has_the_kernel_the_error_and_what_changed() {
        let expected = "\
1 of 1 new kernel breaks bsg.

7.2.13+deb14-a (sid), after 7.2.12+deb14-a
  bsg: build failed
    bsg.c:9:2: error: too few arguments to function 'bsg_setup_queue'
    bsg_setup_queue has another prototype
      was void bsg_setup_queue(int x)
      now void bsg_setup_queue(int x, int y)
    a_b is gone; vmlinux exported it
    something <is> not known
    again: cargo kmod build --kernel 7.2.13+deb14-a
  good: passed";
        assert_eq!(sample().text(), expected);
    }

    #[test]
    fn a_forge_shows_texts_as_they_are() {
        let text = sample().markdown();
        assert!(text.starts_with("## 1 of 1 new kernel breaks bsg\n\n### 7.2.13+deb14-a (sid)"));
        assert!(text.contains("- **✗ bsg: build failed**\n\n  ```"), "{text}");
        assert!(text.contains("\n    now void bsg_setup_queue(int x, int y)\n"), "{text}");
        assert!(text.contains("  something &lt;is&gt; not known\n- ✓ good: passed\n"), "{text}");
    }

    #[test]
    fn the_whole_is_said_in_a_sentence() {
        let mut report = sample();
        assert!(!report.is_good());
        report.cells[0].failed_before = true;
        assert!(report.text().contains("bsg: build failed, as on 7.2.12"), "{}", report.text());
        report.cells[0].untried = true;
        let said = "1 new kernel, and nothing breaks; 1 cell could not be tried";
        assert_eq!(report.headline(), said);
        assert!(!report.is_good());
        report.cells[0] =
            PreflightCell { state: CellState::Passed, untried: false, ..report.cells[0].clone() };
        assert!(report.is_good());
        let said = "1 new kernel, and nothing breaks; 1 project uses what has changed there";
        assert_eq!(report.headline(), said);
        report.cells.remove(0);
        assert_eq!(report.headline(), "1 new kernel, and nothing breaks");
        assert!(PreflightReport::default().headline().contains("no kernel"));
        let kept = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<PreflightReport>(&kept).unwrap(), sample());
    }
}
