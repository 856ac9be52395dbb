// SPDX-License-Identifier: GPL-2.0
//! Results of tests in the kernel: KTAP, version 1 (Documentation/dev-tools/ktap.rst), as KUnit
//! writes it to the kernel log, where other lines come between.

use std::fmt::Write as _;

use report::counted;
use serde::Serialize;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "reason")]
pub enum TestOutcome {
    /// `ok`.
    Passed,
    /// `not ok`.
    Failed,
    /// `ok … # SKIP`, with the reason given, which may be empty.
    Skipped(String),
    /// It was begun, and the output ends before its result.
    Unfinished,
}

/// A test, or a suite of tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: TestOutcome,
    /// What was said of it: why an expectation failed.
    pub diagnostics: Vec<String>,
    /// The tests that it is made of.
    pub subtests: Vec<Self>,
}

/// What one run of tests said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KtapReport {
    /// The outermost tests: suites.
    pub tests: Vec<TestResult>,
    /// Where the output is not what it says of itself: a plan that is not kept, an end that is
    /// missing. Such a run is no success.
    pub problems: Vec<String>,
}

/// How many tests that are made of no others ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TestCounts {
    /// Passed.
    pub passed: usize,
    /// Failed, or without a result.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl TestResult {
    /// A test without anything to say.
    pub fn new(name: impl Into<String>, outcome: TestOutcome, subtests: Vec<Self>) -> Self {
        Self { name: name.into(), outcome, diagnostics: Vec::new(), subtests }
    }

    /// Counts what it is made of; itself, if that is nothing.
    pub fn counts(&self) -> TestCounts {
        let mut counts = TestCounts::default();
        if self.subtests.is_empty() {
            match self.outcome {
                TestOutcome::Passed => counts.passed = 1,
                TestOutcome::Skipped(_) => counts.skipped = 1,
                TestOutcome::Failed | TestOutcome::Unfinished => counts.failed = 1,
            }
        }
        self.subtests.iter().map(Self::counts).fold(counts, TestCounts::and)
    }

    /// Whether it, or something that it is made of, did not pass and was not skipped.
    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, TestOutcome::Failed | TestOutcome::Unfinished)
            || self.subtests.iter().any(Self::is_bad)
    }
}

impl TestCounts {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl KtapReport {
    /// Reads lines, of which those that are no KTAP say something of the test that they come in.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parser = Parser::default();
        lines.into_iter().for_each(|line| parser.line(line));
        parser.finish()
    }

    /// Counts all tests.
    pub fn counts(&self) -> TestCounts {
        self.tests.iter().map(TestResult::counts).fold(TestCounts::default(), TestCounts::and)
    }

    /// Whether a test did not pass, or the output is incomplete.
    pub fn is_bad(&self) -> bool {
        !self.problems.is_empty() || self.tests.iter().any(TestResult::is_bad)
    }

    /// Whether no test ran.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.problems.is_empty()
    }

    /// As KTAP again, without what came between.
    pub fn text(&self) -> String {
        let mut text = String::new();
        write_level(&mut text, &self.tests, None, 0);
        text
    }
}

fn write_level(text: &mut String, tests: &[TestResult], of: Option<&str>, depth: usize) {
    let indent = " ".repeat(depth * 4);
    writeln!(text, "{indent}KTAP version 1").ok();
    if let Some(name) = of {
        writeln!(text, "{indent}# Subtest: {name}").ok();
    }
    writeln!(text, "{indent}1..{}", tests.len()).ok();
    for (number, test) in tests.iter().enumerate() {
        if !test.subtests.is_empty() {
            write_level(text, &test.subtests, Some(&test.name), depth + 1);
        }
        for line in &test.diagnostics {
            writeln!(text, "{indent}# {line}").ok();
        }
        let (ok, directive) = match &test.outcome {
            TestOutcome::Passed => ("ok", String::new()),
            TestOutcome::Failed => ("not ok", String::new()),
            TestOutcome::Unfinished => ("not ok", " # ERROR no result".to_owned()),
            TestOutcome::Skipped(why) if why.is_empty() => ("ok", " # SKIP".to_owned()),
            TestOutcome::Skipped(why) => ("ok", format!(" # SKIP {why}")),
        };
        writeln!(text, "{indent}{ok} {} {}{directive}", number + 1, test.name).ok();
    }
}

/// A line of KTAP, without its indentation.
enum Line<'a> {
    Version,
    Plan(usize),
    Subtest(&'a str),
    Result {
        number: Option<usize>,
        name: &'a str,
        outcome: TestOutcome,
    },
    BailOut(&'a str),
    Diagnostic(&'a str),
    /// Nothing of KTAP.
    Other,
}

fn read(line: &str) -> Line<'_> {
    if line.starts_with("KTAP version ") || line.starts_with("TAP version ") {
        return Line::Version;
    }
    if let Some(count) = line.strip_prefix("1..").and_then(|count| count.trim_end().parse().ok()) {
        return Line::Plan(count);
    }
    if let Some(text) = line.strip_prefix("# ") {
        return text.strip_prefix("Subtest: ").map_or(Line::Diagnostic(text), Line::Subtest);
    }
    if let Some(why) = line.strip_prefix("Bail out!") {
        return Line::BailOut(why.trim());
    }
    let (ok, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Line::Other,
    };
    result(ok, rest)
}

/// What follows `ok` or `not ok`: a number, a name, perhaps ` # SKIP` and a reason. A line without
/// a number is none of a test: the kernel says `ok` of other things as well.
fn result(ok: bool, rest: &str) -> Line<'_> {
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let Ok(number) = number.parse() else { return Line::Other };
    let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
    let name = name.trim().trim_start_matches("- ");
    let skip = directive.strip_prefix("SKIP").map(|why| TestOutcome::Skipped(why.trim().to_owned()));
    let outcome = if ok { TestOutcome::Passed } else { TestOutcome::Failed };
    Line::Result { number: Some(number), name, outcome: skip.unwrap_or(outcome) }
}

/// Whether a line only says again what the results say, or where a suite is.
fn is_summary(text: &str) -> bool {
    let counts = text.contains("pass:") && text.contains(" fail:") && text.contains(" total:");
    counts || text.starts_with("module: ") || text.contains("speed: ")
}

/// A level of tests whose end has not been seen.
#[derive(Default)]
struct Level {
    indent: usize,
    name: Option<String>,
    plan: Option<usize>,
    tests: Vec<TestResult>,
    /// What was said since the last result.
    diagnostics: Vec<String>,
}

#[derive(Default)]
struct Parser {
    levels: Vec<Level>,
    report: KtapReport,
}

impl Parser {
    fn line(&mut self, line: &str) {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        match read(text.trim_end()) {
            Line::Version => self.open(indent),
            Line::Plan(count) => self.innermost(indent).plan = Some(count),
            Line::Subtest(name) => self.innermost(indent).name = Some(name.to_owned()),
            Line::Result { number, name, outcome } => self.result(indent, number, name, outcome),
            Line::BailOut(why) => self.report.problems.push(format!("bailed out: {why}")),
            Line::Diagnostic(text) => self.say(text),
            Line::Other => self.say(line),
        }
    }

    /// A version line: a level begins. One as deep as the level before begins another run.
    fn open(&mut self, indent: usize) {
        while self.levels.last().is_some_and(|level| level.indent >= indent) {
            self.end_unfinished();
        }
        self.levels.push(Level { indent, ..Level::default() });
    }

    /// The innermost level that a line of this indentation may belong to; a level without a version
    /// line begins with it.
    fn innermost(&mut self, indent: usize) -> &mut Level {
        if self.levels.last().is_none_or(|level| level.indent < indent) {
            self.levels.push(Level { indent, ..Level::default() });
        }
        self.levels.last_mut().expect("one was there, or was just made")
    }

    fn say(&mut self, text: &str) {
        if let Some(level) = self.levels.last_mut().filter(|_| !is_summary(text)) {
            level.diagnostics.push(text.trim().to_owned());
        }
    }

    fn result(&mut self, indent: usize, number: Option<usize>, name: &str, outcome: TestOutcome) {
        let mut test = TestResult::new(name, outcome, Vec::new());
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| level.indent > indent) {
            let level = self.levels.pop().expect("there are several");
            self.check(&level, Some(name));
            // Of several, all but the outermost have no result of their own.
            let inner = std::mem::replace(&mut test.subtests, level.tests);
            test.subtests.extend(inner);
            test.diagnostics.extend(level.diagnostics);
        }
        if self.levels.last().is_some_and(|level| level.indent > indent) {
            // The outermost level has no version line of its own: its tests are this one's.
            let level = self.levels.pop().expect("one is there");
            self.check(&level, Some(name));
            test.subtests = level.tests;
            test.diagnostics.extend(level.diagnostics);
        }
        let level = self.innermost(indent);
        test.diagnostics.splice(0..0, level.diagnostics.drain(..));
        level.tests.push(test);
        let expected = level.tests.len();
        if number.is_some_and(|number| number != expected) {
            let found = number.unwrap_or_default();
            self.report
                .problems
                .push(format!("{name} has the number {found}, and comes as number {expected}"));
        }
    }

    /// Whether a level that ends has as many results as it planned.
    fn check(&mut self, level: &Level, name: Option<&str>) {
        let of = name.or(level.name.as_deref()).map(|name| format!("{name}: ")).unwrap_or_default();
        let found = level.tests.len();
        if let Some(plan) = level.plan.filter(|plan| *plan != found) {
            self.report.problems.push(format!(
                "{of}of {}, {found} came to a result",
                counted(plan, "planned test", "planned tests")
            ));
        }
    }

    /// The innermost level ends without a result of its own.
    fn end_unfinished(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        let name = level.name.clone();
        self.check(&level, name.as_deref());
        match (name, self.levels.last_mut()) {
            // An outermost level has no result.
            (None, None) => self.report.tests.extend(level.tests),
            (name, outer) => {
                let name = name.unwrap_or_else(|| "(no name)".to_owned());
                self.report.problems.push(format!("{name} was begun, and has no result"));
                let mut test = TestResult::new(name, TestOutcome::Unfinished, level.tests);
                test.diagnostics = level.diagnostics;
                outer.map_or(&mut self.report.tests, |outer| &mut outer.tests).push(test);
            }
        }
    }

    fn finish(mut self) -> KtapReport {
        while !self.levels.is_empty() {
            self.end_unfinished();
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As KUnit writes it, with what came between.
    const KUNIT: &str = "\
probe: loading out-of-tree module taints kernel.
KTAP version 1
1..2
    KTAP version 1
    # Subtest: numbers
    # module: probe
    1..3
    ok 1 adds
    # subtracts: EXPECTATION FAILED at probe.c:10
    Expected 1 == 2
    not ok 2 subtracts
    ok 3 divides # SKIP no divider
# numbers: pass:1 fail:1 skip:1 total:3
# Totals: pass:1 fail:1 skip:1 total:3
not ok 1 numbers
    KTAP version 1
    # Subtest: words
    1..1
        KTAP version 1
        # Subtest: each
        ok 1 first
        ok 2 second
    # each: pass:2 fail:0 skip:0 total:2
    ok 1 each
ok 2 words
probe: ok so far
";

    fn shown(tests: &[TestResult]) -> String {
        let one = |test: &TestResult| {
            let mark = match test.outcome {
                TestOutcome::Passed => '+',
                TestOutcome::Failed => '-',
                TestOutcome::Skipped(_) => '~',
                TestOutcome::Unfinished => '?',
            };
            let subtests = shown(&test.subtests);
            let subtests = if subtests.is_empty() { subtests } else { format!("({subtests})") };
            format!("{mark}{}{subtests}", test.name)
        };
        tests.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn parsed(text: &str) -> KtapReport {
        KtapReport::parse(text.lines())
    }

    #[test]
    fn what_kunit_writes_is_read() {
        let report = parsed(KUNIT);
        assert_eq!(shown(&report.tests), "-numbers(+adds -subtracts ~divides) +words(+each(+first +second))");
        assert_eq!(report.problems, [""; 0]);
        assert_eq!(report.counts(), TestCounts { passed: 4 - 1, failed: 1, skipped: 1 });
        let subtracts = &report.tests[0].subtests[1];
        assert_eq!(subtracts.diagnostics, ["subtracts: EXPECTATION FAILED at probe.c:10", "Expected 1 == 2"]);
        assert_eq!(report.tests[0].subtests[2].outcome, TestOutcome::Skipped("no divider".to_owned()));
        assert_eq!(report.tests[0].diagnostics, [""; 0], "what the results say is not said again");
        assert!(report.is_bad() && !report.is_empty());
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let mut report = parsed(KUNIT);
        report.problems.clear();
        let again = parsed(&report.text());
        assert_eq!(shown(&again.tests), shown(&report.tests));
        assert_eq!(again.problems, [""; 0]);
        assert!(
            report
                .text()
                .starts_with("KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: numbers\n    1..3\n")
        );
    }

    #[test]
    fn good_and_bad_output() {
        for (text, tests, problems) in [
            ("", "", &[][..]),
            ("usb 1-1: new device\nok then\nok\n", "", &[]),
            ("KTAP version 1\n1..0\n", "", &[]),
            ("KTAP version 1\n1..1\nok 1 a\n", "+a", &[]),
            // No header around the suites, as of a module in older kernels.
            ("    # Subtest: s\n    1..1\n    ok 1 a\nok 1 s\n", "+s(+a)", &[]),
            ("    KTAP version 1\n    # Subtest: s\n    1..1\n    ok 1 a\nok 1 s\n", "+s(+a)", &[]),
            // Two modules, one after the other.
            ("KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nnot ok 1 b\n", "+a -b", &[]),
            ("KTAP version 1\n1..1\nok 1 a # SKIP\n", "~a", &[]),
            ("KTAP version 1\n1..1\nok 1 - a\n", "+a", &[]),
            // Plans that are not kept.
            ("KTAP version 1\n1..2\nok 1 a\n", "+a", &["of 2 planned tests, 1 came to a result"]),
            (
                "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: s\n  1..1\n  ok 1 a\n  ok 2 b\nok 1 s\n",
                "+s(+a +b)",
                &["s: of 1 planned test, 2 came to a result"],
            ),
            (
                "KTAP version 1\n1..2\nok 1 a\nok 3 b\n",
                "+a +b",
                &["b has the number 3, and comes as number 2"],
            ),
            // Cut off.
            (
                "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..2\n    ok 1 a\n",
                "?s(+a)",
                &["s: of 2 planned tests, 1 came to a result", "s was begun, and has no result"],
            ),
            (
                "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n",
                "?s",
                &["s: of 1 planned test, 0 came to a result", "s was begun, and has no result"],
            ),
            (
                "KTAP version 1\n1..1\nBail out! no memory\n",
                "",
                &["bailed out: no memory", "of 1 planned test, 0 came to a result"],
            ),
        ] {
            let report = parsed(text);
            assert_eq!(shown(&report.tests), tests, "{text}");
            assert_eq!(report.problems, problems, "{text}");
            assert_eq!(report.is_empty(), tests.is_empty() && problems.is_empty(), "{text}");
        }
    }

    #[test]
    fn an_unfinished_test_counts_as_failed() {
        let report = parsed("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n");
        assert_eq!(report.counts(), TestCounts { passed: 0, failed: 1, skipped: 0 });
        assert!(report.text().contains("not ok 1 s # ERROR no result"));
    }
}
