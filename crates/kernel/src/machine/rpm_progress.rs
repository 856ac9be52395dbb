// SPDX-License-Identifier: GPL-2.0
//! How far dnf(8) and zypper(8) have got with installing packages, by what they print.

use anyhow::Result;

use report::process::{Cmd, Output};
use report::{ProgressUnit, Report, Step};

/// What a line says of it: which of how many packages is being installed. DNF 4 ends such a line
/// with the two, `3/10`; DNF 5 begins it with them, `[3/10]`, and so does zypper, `(3/10)`. The
/// words are those of the C locale.
fn installing(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace().map(|word| word.trim_matches(['[', ']', '(', ')']));
    let first = words.clone().next()?;
    // DNF 5 pads the first number: `[ 3/10]`.
    let first = if first.is_empty() { words.clone().nth(1)? } else { first };
    let is = |word: &str| ["Installing", "Upgrading"].contains(&word.trim_end_matches(':'));
    let acts = words.clone().take(4).any(is);
    let counted = |word: &str| {
        let (reached, total) = word.split_once('/')?;
        Some((reached.parse().ok()?, total.parse().ok()?))
    };
    let found = counted(first).or_else(|| counted(words.next_back()?));
    found.filter(|(reached, total)| acts && reached <= total)
}

/// Runs a command that installs packages with one of them, and counts on `step` how far it has got;
/// `done` are the statuses with which it has done it.
pub(crate) fn run_counted(cmd: &Cmd, done: &[i32], step: &Step<'_>, report: &Report) -> Result<Output> {
    let output = cmd.finish_with(report, |line| {
        if let Some((reached, total)) = installing(line) {
            step.count(ProgressUnit::Things("package", "packages"), total);
            step.reach(reached);
        }
        report.output_line(line);
    })?;
    let has = output.status.code().is_some_and(|code| done.contains(&code));
    if has { Ok(output) } else { Err(cmd.failure(&output)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_that_are_installed_are_counted() {
        for (line, counted) in [
            ("  Preparing        :                                       1/1 ", None),
            ("  Installing       : rpm-sign-4.19.1.1-1.fc40.x86_64      3/10 ", Some((3, 10))),
            ("  Upgrading        : rpm-libs-4.19.1.1-1.fc40.x86_64      4/10 ", Some((4, 10))),
            ("  Running scriptlet: rpm-sign-4.19.1.1-1.fc40.x86_64      3/10 ", None),
            ("  Verifying        : rpm-sign-4.19.1.1-1.fc40.x86_64      1/10 ", None),
            ("Installing:", None),
            ("(1/3): rpm-sign-4.19.1.1-1.fc40.x86_64.rpm    1.2 MB/s |  11 kB     00:00", None),
            (
                "[ 3/10] Installing rpm-sign-0:4.20.0-1.fc41.x86_64 100% |  1.1 MiB/s |  23.1 KiB |  00m00s",
                Some((3, 10)),
            ),
            (
                "[10/10] Installing nano-0:8.1-1.fc41.x86_64 100% |  1.1 MiB/s |  2.1 MiB |  00m00s",
                Some((10, 10)),
            ),
            ("[1/2] nano-0:8.1-1.fc41.x86_64 100% |  4.1 MiB/s | 707.4 KiB |  00m00s", None),
            ("(2/3) Installing: qemu-x86-8.2.2-150600.1.x86_64 [...done]", Some((2, 3))),
            ("Retrieving: qemu-x86-8.2.2-150600.1.x86_64 (repo)  (1/3),   9.1 MiB", None),
            ("", None),
        ] {
            assert_eq!(installing(line), counted, "{line}");
        }
    }
}
