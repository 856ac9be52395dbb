// SPDX-License-Identifier: GPL-2.0
//! The record of kernels that were tried, as people read it: `docs/kernels.md`.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::record::{TrialOutcome, TrialRecord, TriedKernel};

/// What stands above the table.
const HEAD: &str = "\
<!-- SPDX-License-Identifier: GPL-2.0 -->
# Kernels that were tried

Made by `cargo xtask trial`, which does with each kernel what a user does: it prepares it, builds a new module in C and one in Rust and
the guard of this repository, boots the kernel in a virtual machine, loads each module and removes it. A row is what was seen, never
what should be; a test holds this page to the record, [kernels.json](kernels.json). An archive moves on: a kernel below may be gone
from it, and a newer one is prepared in the same way.

    cargo xtask trial RELEASE...       tries these and writes down what came of it
    cargo xtask trial                  tries those again that are on the page

*proof*: how many of the Rust symbols that the kernel exports are those of the artefacts that modules are built against. *passed*:
built, loaded, removed, and the kernel's log had no complaint.
";

/// Where the page is in a repository.
pub fn file(repository: &Utf8Path) -> Utf8PathBuf {
    repository.join("docs/kernels.md")
}

/// The page.
pub fn page(record: &TrialRecord) -> String {
    let mut text = HEAD.to_owned();
    let mut architecture = None;
    for kernel in record.kernels() {
        if architecture.replace(kernel.architecture) != Some(kernel.architecture) {
            let name = kernel.architecture.debian();
            writeln!(text, "\n## {name}\n").ok();
            row(&mut text, &["kernel", "from", "compiler", "proof", "C", "Rust", "guard"]);
            writeln!(text, "|{}", "---|".repeat(7)).ok();
        }
        row(&mut text, &cells(kernel).each_ref().map(String::as_str));
    }
    let notes: Vec<String> = record.kernels().iter().flat_map(notes).collect();
    if !notes.is_empty() {
        writeln!(text, "\n## What did not pass\n\n{}", notes.join("\n")).ok();
    }
    text
}

fn row(text: &mut String, cells: &[&str]) {
    writeln!(text, "| {} |", cells.join(" | ")).ok();
}

fn cells(kernel: &TriedKernel) -> [String; 7] {
    let rustc = kernel.rustc.as_ref().map(|version| format!(", rustc {version}")).unwrap_or_default();
    let proof = match (&kernel.rustc, kernel.rust_symbols) {
        (None, _) => "no Rust".to_owned(),
        (Some(_), symbols) => format!("{symbols} of {symbols}"),
    };
    let versions = if kernel.modversions { ", MODVERSIONS" } else { "" };
    [
        format!("`{}`", kernel.release),
        format!("{}{versions}", kernel.origin),
        format!("{}{rustc}", kernel.compiler),
        proof,
        outcome(&kernel.c),
        outcome(&kernel.rust),
        outcome(&kernel.guard),
    ]
}

fn outcome(outcome: &TrialOutcome) -> String {
    match outcome {
        TrialOutcome::Passed => "passed".to_owned(),
        TrialOutcome::Impossible { why } => why.clone(),
        TrialOutcome::Failed { status, .. } => format!("**{status}**"),
    }
}

/// What the tool said where a module did not pass.
fn notes(kernel: &TriedKernel) -> Vec<String> {
    let modules = [("C", &kernel.c), ("Rust", &kernel.rust), ("the guard", &kernel.guard)];
    let note = |(name, outcome): (&str, &TrialOutcome)| match outcome {
        TrialOutcome::Failed { status, why } => {
            Some(format!("- `{}`, {name}, exit status {status}: {why}", kernel.release))
        }
        _ => None,
    };
    modules.into_iter().filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::architecture::Architecture;

    #[test]
    fn a_page_has_a_table_for_each_architecture_and_says_what_failed() {
        let mut record = TrialRecord::default();
        let kernel = |release: &str, architecture, rustc: Option<&str>, guard| TriedKernel {
            release: release.parse().unwrap(),
            architecture,
            origin: "sid".to_owned(),
            compiler: "gcc-16".to_owned(),
            rustc: rustc.map(str::to_owned),
            modversions: rustc.is_none(),
            rust_symbols: 7,
            c: TrialOutcome::Passed,
            rust: TrialOutcome::Passed,
            guard,
        };
        let failed = TrialOutcome::Failed { status: 10, why: "symbol x".to_owned() };
        let none = TrialOutcome::Impossible { why: "no Rust".to_owned() };
        record.note(kernel("7.2.13-amd64", Architecture::Amd64, Some("1.97.1"), failed));
        record.note(kernel("6.12.1-arm64", Architecture::Arm64, None, none));
        let page = page(&record);
        for line in [
            "## amd64\n",
            "| `7.2.13-amd64` | sid | gcc-16, rustc 1.97.1 | 7 of 7 | passed | passed | **10** |\n",
            "## arm64\n",
            "| `6.12.1-arm64` | sid, MODVERSIONS | gcc-16 | no Rust | passed | passed | no Rust |\n",
            "- `7.2.13-amd64`, the guard, exit status 10: symbol x\n",
        ] {
            assert!(page.contains(line), "{line:?} is not in:\n{page}");
        }
    }
}
