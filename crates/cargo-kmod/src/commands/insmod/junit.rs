// SPDX-License-Identifier: GPL-2.0
//! What came of loading modules, as JUnit's XML: a suite a kernel, with a case for the project, one
//! for each test that ran in its modules.

use std::time::Duration;

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};
use vm::ktap::{TestOutcome, TestResult};
use vm::verdict::Verdict;

use crate::commands::insmod::outcome::Outcome;

/// The name of the report: what is not the tool's name, which is known at its edge only.
const NAME: &str = "insmod";

/// The report of all kernels. A project that passes and fails by turns is *flaky*: it passes there,
/// with the failures that it had; the exit status of the run says that it failed.
pub(super) fn junit(outcomes: &[Outcome]) -> Result<String> {
    let mut report = Report::new(NAME);
    report.add_test_suites(outcomes.iter().map(suite));
    Ok(report.to_string()?)
}

fn suite(outcome: &Outcome) -> TestSuite {
    let mut suite = TestSuite::new(outcome.release.as_str());
    let mut case = TestCase::new(NAME, status(outcome));
    case.set_classname(outcome.project.as_str()).set_time(Duration::from_secs_f64(outcome.seconds));
    if outcome.verdict != Verdict::Pass {
        case.set_system_out_lossy(fs_err::read(&outcome.console).unwrap_or_default());
    }
    suite.add_test_case(case);
    for test in &outcome.tests.tests {
        add_tests(&mut suite, test, &outcome.project);
    }
    suite
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    if outcome.verdict == Verdict::Pass {
        return TestCaseStatus::success();
    }
    let what = outcome.verdict.to_string();
    let how = [outcome.reason.as_str(), &format!("again: {}", outcome.again)].join("\n");
    if outcome.repeated.as_ref().is_some_and(|runs| runs.passed > 0) {
        let mut failed = TestRerun::new(NonSuccessKind::Failure);
        failed.set_type(what).set_message(outcome.reason.as_str()).set_description(how);
        let mut flaky = TestCaseStatus::success();
        flaky.add_rerun(failed);
        return flaky;
    }
    let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
    failed.set_type(what).set_message(outcome.reason.as_str()).set_description(how);
    failed
}

/// The tests that have none inside, by the names of those that they are in.
fn add_tests(suite: &mut TestSuite, test: &TestResult, inside: &str) {
    if !test.subtests.is_empty() {
        let inside = format!("{inside}.{}", test.name);
        test.subtests.iter().for_each(|inner| add_tests(suite, inner, &inside));
        return;
    }
    let status = match &test.outcome {
        TestOutcome::Passed => TestCaseStatus::success(),
        TestOutcome::Skipped(why) => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(why.as_str());
            skipped
        }
        TestOutcome::Failed | TestOutcome::Unfinished => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(test.diagnostics.join("\n"));
            failed
        }
    };
    let mut case = TestCase::new(test.name.as_str(), status);
    case.set_classname(inside);
    suite.add_test_case(case);
}
