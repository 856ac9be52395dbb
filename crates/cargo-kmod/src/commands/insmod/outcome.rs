// SPDX-License-Identifier: GPL-2.0
//! What came of loading modules: for people, for programs, as KTAP.

use std::time::Duration;

use camino::Utf8PathBuf;
use kmodfile::release::Release;
use report::{seconds, table};
use serde::Serialize;
use vm::boot;
use vm::coverage::Coverage;
use vm::decode::{DecodedFrame, DecodedTrace};
use vm::ktap::{KtapReport, TestCounts, TestOutcome, TestResult};
use vm::leaks::LostObject;
use vm::source_place::SourcePlace;
use vm::verdict::Verdict;

use crate::commands::insmod::args::InsmodArgs;
use crate::commands::insmod::load::Loaded;
use crate::commands::insmod::repeat::Repeated;
use crate::commands::tested::TestedModules;

/// The outcome for one kernel.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) release: Release,
    /// Name and version of the project, or the names of the modules.
    pub(super) project: String,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    boot_seconds: Option<f64>,
    /// Whether the machine went on from where it was saved.
    warm: bool,
    pub(super) seconds: f64,
    said: Vec<String>,
    /// The tests that ran in the modules.
    #[serde(skip_serializing_if = "KtapReport::is_empty")]
    pub(super) tests: KtapReport,
    /// What kmemleak found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<LostObject>,
    /// The first trace of a run that did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<DecodedTrace>,
    /// Which lines were reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) coverage: Option<Coverage>,
    /// How many runs came out how, if there were several; the rest is of the first that failed, or
    /// else of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeated: Option<RunCounts>,
    pub(super) console: Utf8PathBuf,
    /// The command that does the same again.
    pub(super) again: String,
}

/// How many runs passed, and how many did not.
#[derive(Serialize)]
pub(super) struct RunCounts {
    pub(super) passed: u32,
    pub(super) failed: u32,
}

impl RunCounts {
    /// For people: one that only sometimes fails is what is hard to find.
    fn shown(&self) -> String {
        let Self { passed, failed } = self;
        let all = passed + failed;
        match (passed, failed) {
            (_, 0) => format!("  {all} of {all} runs"),
            (0, _) => format!("  none of {all} runs passed"),
            _ => format!("  flaky: {failed} of {all} runs failed"),
        }
    }
}

/// What came of loading the project's modules, as it is reported.
pub(super) fn outcome(args: &InsmodArgs, tested: &TestedModules, repeated: Repeated) -> Outcome {
    let Repeated { loaded: Loaded { run, tests, lost, trace, coverage }, passed, failed } = repeated;
    let names: Vec<String> = tested.names().collect();
    let said = names.iter().flat_map(|name| boot::said_by(&run, name));
    Outcome {
        release: tested.release.clone(),
        project: tested.title.clone(),
        verdict: run.judgement.verdict,
        reason: run.judgement.reason.clone(),
        boot_seconds: run.boot.map(|boot| boot.as_secs_f64()),
        warm: run.warm,
        seconds: run.wall.as_secs_f64(),
        said: said.map(str::to_owned).collect(),
        tests,
        lost,
        trace,
        coverage,
        repeated: (passed + failed > 1).then_some(RunCounts { passed, failed }),
        console: run.console_log.clone(),
        again: args.again(tested),
    }
}

/// The results for each kernel, as one run: its modules' suites are what it is made of.
pub(super) fn ktap(outcomes: &[Outcome]) -> KtapReport {
    let one = |outcome: &Outcome| {
        let passed = outcome.verdict == Verdict::Pass;
        let result = if passed { TestOutcome::Passed } else { TestOutcome::Failed };
        let mut test = TestResult::new(outcome.release.as_str(), result, outcome.tests.tests.clone());
        test.diagnostics.clone_from(&outcome.tests.problems);
        if !passed {
            test.diagnostics.extend(outcome.reason.lines().map(|line| line.trim().to_owned()));
        }
        test
    };
    KtapReport { tests: outcomes.iter().map(one).collect(), problems: Vec::new() }
}

/// For people.
pub(super) fn shown(outcome: &Outcome) -> String {
    let wall = seconds(Duration::from_secs_f64(outcome.seconds));
    let said = shown_said(&outcome.said);
    let lost: String = outcome.lost.iter().map(|object| format!("\n    lost: {object}")).collect();
    let repeated = outcome.repeated.as_ref().map(RunCounts::shown).unwrap_or_default();
    let tests = shown_tests(&outcome.tests);
    let trace = outcome.trace.as_ref().map(shown_trace).unwrap_or_default();
    let again = match outcome.verdict {
        Verdict::Pass => String::new(),
        _ => format!("\n    again: {}", outcome.again),
    };
    format!("{}  {}  {wall}{repeated}{said}{lost}{tests}{trace}{again}", outcome.release, outcome.verdict)
}

/// So many lines of the modules' own are shown at the beginning, and as many at the end.
const SAID: usize = 20;

/// What the modules said, a line each; of one that says much, not all.
fn shown_said(said: &[String]) -> String {
    let lines = |some: &[String]| some.iter().map(|line| format!("\n    {line}")).collect::<String>();
    match said.len().checked_sub(2 * SAID) {
        None | Some(0) => lines(said),
        Some(between) => {
            let (begin, end) = (&said[..SAID], &said[said.len() - SAID..]);
            format!("{}\n    ... {between} more on the console ...{}", lines(begin), lines(end))
        }
    }
}

/// So many frames are shown: what is further out is how any module is loaded.
const FRAMES: usize = 12;

/// The line that began a trace, then a row for each frame: the function, and the line of the source
/// that it is at.
fn shown_trace(trace: &DecodedTrace) -> String {
    let mut rows = Vec::new();
    for DecodedFrame { frame, places } in trace.frames.iter().take(FRAMES) {
        if let Some(part) = &frame.part {
            rows.push(vec![format!("      {part}:")]);
        }
        let own = format!("      {}+{:#x}", frame.function, frame.offset);
        let Some((outermost, inlined)) = places.split_last() else {
            rows.push(vec![own]);
            continue;
        };
        rows.extend(inlined.iter().map(|place| row(format!("      {} (inlined)", place.function), place)));
        rows.push(row(own, outermost));
    }
    let more = trace.frames.len().saturating_sub(FRAMES);
    let more = if more > 0 { format!("\n      and {more} more") } else { String::new() };
    format!("\n    {}\n{}{more}", trace.headline, table(&rows))
}

fn row(function: String, place: &SourcePlace) -> Vec<String> {
    vec![function, format!("{}:{}", place.file, place.line), place.text.clone().unwrap_or_default()]
}

/// A row for each suite, then what is to be said of tests that did not pass.
fn shown_tests(tests: &KtapReport) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let mut rows = vec![["    SUITE", "PASSED", "FAILED", "SKIPPED"].map(str::to_owned).to_vec()];
    rows.extend(tests.tests.iter().map(|suite| {
        let TestCounts { passed, failed, skipped } = suite.counts();
        let counts = [passed, failed, skipped].map(|count| count.to_string());
        std::iter::once(format!("    {}", suite.name)).chain(counts).collect()
    }));
    let mut text = format!("\n{}", table(&rows));
    for suite in &tests.tests {
        bad_ones(suite, &suite.name, &mut text);
    }
    text.extend(tests.problems.iter().map(|problem| format!("\n    {problem}")));
    text
}

fn bad_ones(test: &TestResult, name: &str, text: &mut String) {
    if test.subtests.is_empty() && test.is_bad() {
        text.push_str(&format!("\n    failed: {name}"));
        text.extend(test.diagnostics.iter().map(|line| format!("\n        {line}")));
    }
    for inner in &test.subtests {
        bad_ones(inner, &format!("{name}.{}", inner.name), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_that_is_said_the_beginning_and_the_end_are_shown() {
        let said = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(shown_said(&said(2)), "\n    0\n    1");
        assert_eq!(shown_said(&said(2 * SAID)).lines().count(), 2 * SAID + 1);
        let much = shown_said(&said(100_000));
        assert_eq!(much.lines().count(), 2 * SAID + 2);
        assert!(much.contains("\n    ... 99960 more on the console ...\n    99980"), "{much}");
        assert!(much.ends_with("\n    99999"));
    }
}
