// SPDX-License-Identifier: GPL-2.0
//! How far apt-get(8) has got with installing packages, by what it prints.

use anyhow::Result;

use report::process::{Cmd, Output};
use report::{ProgressUnit, Report, Step};

/// Each package is fetched, unpacked and set up.
const STEPS: u64 = 3;

/// What it does in a row may be more than one installation, as when a tree is made: the total grows
/// with each.
#[derive(Debug, Default)]
struct AptProgress {
    total: u64,
    reached: u64,
}

impl AptProgress {
    /// Takes a line of output; the messages are those of the C locale.
    fn read(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once(" upgraded, ") {
            let new = rest.split_once(" newly installed").and_then(|(count, _)| count.parse::<u64>().ok());
            // What is not fetched any more, as it is there already, is not missed for long.
            self.reached = self.total;
            self.total += new.unwrap_or_default() * STEPS;
        } else if self.total > 0 {
            let step = ["Get:", "Unpacking ", "Setting up "].iter().any(|word| line.starts_with(word));
            self.reached = (self.reached + u64::from(step)).min(self.total);
        }
    }
}

/// Runs a command that installs packages with apt, and counts on `step` how far it has got.
pub(crate) fn run_counted(cmd: &Cmd, step: &Step<'_>, report: &Report) -> Result<Output> {
    let mut progress = AptProgress::default();
    let output = cmd.finish_with(report, |line| {
        progress.read(line);
        step.count(ProgressUnit::Things("package step", "package steps"), progress.total);
        step.reach(progress.reached);
        report.output_line(line);
    })?;
    if output.status.success() { Ok(output) } else { Err(cmd.failure(&output)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_each_installation_are_counted() {
        let mut progress = AptProgress::default();
        for (line, reached, total) in [
            ("Get:1 http://m/debian sid InRelease [259 kB]", 0, 0),
            ("0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.", 0, 6),
            ("Get:1 http://m/debian sid/main amd64 make amd64 4.4.1-3 [466 kB]", 1, 6),
            ("Fetched 466 kB in 0s (5,132 kB/s)", 1, 6),
            ("Selecting previously unselected package make.", 1, 6),
            ("Preparing to unpack .../make_4.4.1-3_amd64.deb ...", 1, 6),
            ("Unpacking make (4.4.1-3) ...", 2, 6),
            ("Setting up make (4.4.1-3) ...", 3, 6),
            ("1 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.", 6, 9),
            ("Setting up bc (1.07.1-4) ...", 7, 9),
            ("0 upgraded, 0 newly installed, 0 to remove and 5 not upgraded.", 9, 9),
            ("Setting up bc (1.07.1-4) ...", 9, 9),
        ] {
            progress.read(line);
            assert_eq!((progress.reached, progress.total), (reached, total), "{line}");
        }
    }
}
