// SPDX-License-Identifier: GPL-2.0
//! Programs that test modules from outside while they are loaded: what they print as KTAP, or how
//! they end, is their result.

use vm_protocol::{Event, Expect, ExtraStep, GuestStep, StepOutcome};

use crate::ktap::{KtapReport, TestOutcome, TestResult};
use crate::payload::Payload;
use crate::run::Run;

/// Where they are in the machine.
const DIR: &str = "/tests";

/// What a program ends with that could not test anything here (`KSFT_SKIP`,
/// tools/testing/selftests/kselftest.h).
const SKIPPED: i32 = 4;

/// How many of the last lines are shown of a program that failed without KTAP.
const LAST: usize = 10;

/// The path in the machine of the program `name`.
pub fn place(name: &str) -> String {
    format!("{DIR}/{name}")
}

/// Adds the step that runs the program `name`. Whatever comes of it, the run goes on: the modules
/// are to be removed all the same.
pub fn run<X: ExtraStep>(payload: &mut Payload<X>, name: &str) {
    payload.run(&place(name), &[], Expect::Any);
}

/// What came of the programs, as far as the run came.
pub fn results<X: ExtraStep>(payload: &Payload<X>, run: &Run) -> Vec<TestResult> {
    let plan = payload.plan("");
    let name = |index: usize| match &plan.steps.get(index)?.step {
        GuestStep::Run { program, .. } => program.strip_prefix(DIR)?.strip_prefix('/'),
        _ => None,
    };
    let mut results: Vec<TestResult> = Vec::new();
    for event in &run.events {
        match event {
            Event::StepStarted { index } => {
                results
                    .extend(name(*index).map(|name| TestResult::new(name, TestOutcome::Unfinished, vec![])));
            }
            Event::StepEnded { index, outcome, output, .. } => {
                if let (Some(name), Some(last)) = (name(*index), results.last_mut()) {
                    *last = result(name, outcome, output.as_deref().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    results
}

/// The result of a program that ended so and printed this.
fn result(name: &str, outcome: &StepOutcome, output: &str) -> TestResult {
    let KtapReport { tests, problems } = KtapReport::parse(output.lines());
    let is_bad = !problems.is_empty() || tests.iter().any(TestResult::is_bad);
    let (end, why) = match outcome {
        StepOutcome::Done => (TestOutcome::Passed, None),
        StepOutcome::Failed { exit: Some(SKIPPED), .. } if !is_bad => {
            (TestOutcome::Skipped(last_line(output)), None)
        }
        StepOutcome::Failed { exit: Some(status), .. } => {
            (TestOutcome::Failed, Some(format!("exit status {status}")))
        }
        StepOutcome::Failed { message, .. } => {
            (TestOutcome::Failed, message.lines().next().map(str::to_owned))
        }
    };
    let mut result = TestResult::new(name, if is_bad { TestOutcome::Failed } else { end }, tests);
    result.diagnostics.extend(problems);
    if result.subtests.is_empty() || !is_bad {
        result.diagnostics.extend(why);
    }
    if result.subtests.is_empty() && result.outcome == TestOutcome::Failed {
        let lines: Vec<&str> = output.trim_end().lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST)..];
        result.diagnostics.extend(last.iter().map(|line| (*line).to_owned()));
    }
    result
}

fn last_line(output: &str) -> String {
    output.trim_end().lines().next_back().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_protocol::Errno;

    fn failed(exit: Option<i32>, message: &str) -> StepOutcome {
        StepOutcome::Failed { errno: Errno::EIO, message: message.to_owned(), exit }
    }

    #[test]
    fn ktap_or_the_exit_status_is_the_result() {
        let good = "TAP version 13\n1..1\nok 1 opens\n";
        let bad = "TAP version 13\n1..2\nok 1 opens\nnot ok 2 closes\n";
        let cut = "TAP version 13\n1..2\nok 1 opens\n";
        let skipped = TestOutcome::Skipped("SKIP: no device".to_owned());
        for (outcome, output, expected, said) in [
            (StepOutcome::Done, "", TestOutcome::Passed, ""),
            (StepOutcome::Done, "hello\n", TestOutcome::Passed, ""),
            (StepOutcome::Done, good, TestOutcome::Passed, ""),
            (StepOutcome::Done, bad, TestOutcome::Failed, ""),
            (failed(Some(1), "x: exit status: 1"), bad, TestOutcome::Failed, ""),
            (failed(Some(1), "x: exit status: 1"), good, TestOutcome::Failed, "exit status 1"),
            (failed(Some(3), "x"), "one\ntwo\n", TestOutcome::Failed, "exit status 3|one|two"),
            (failed(Some(4), "x"), "SKIP: no device\n", skipped, ""),
            (
                failed(None, "x: signal: 11 (SIGSEGV)\nmore"),
                "",
                TestOutcome::Failed,
                "x: signal: 11 (SIGSEGV)",
            ),
        ] {
            let result = result("x", &outcome, output);
            assert_eq!(result.outcome, expected, "{outcome:?} {output}");
            assert_eq!(result.diagnostics.join("|"), said, "{outcome:?} {output}");
        }
        let cut = result("x", &StepOutcome::Done, cut);
        assert_eq!(cut.outcome, TestOutcome::Failed);
        assert!(!cut.diagnostics.is_empty(), "{cut:?}");
    }
}
