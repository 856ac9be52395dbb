// SPDX-License-Identifier: GPL-2.0
//! What a command of the tool answers with `--json`, as far as a result has it.

use camino::Utf8PathBuf;
use serde::Deserialize;

/// What is taken of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StepAnswer {
    /// Why it did not pass, in a line.
    pub(super) reason: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// The first line that a compiler called an error.
    pub(super) complaint: Option<String>,
    /// The trace, as text.
    pub(super) trace: Option<String>,
    /// The command that does the same again, where the tool knows it better.
    pub(super) again: Option<String>,
    /// The file with what the machine printed.
    pub(super) console: Option<Utf8PathBuf>,
    /// The modules that were built.
    pub(super) built: Vec<Utf8PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Error { error: String, remedy: Option<String> },
    List(Vec<Entry>),
    Other(serde::de::IgnoredAny),
}

/// An entry of what `build` or `insmod` answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    verdict: Option<String>,
    reason: String,
    trace: Option<Trace>,
    again: Option<String>,
    console: Option<Utf8PathBuf>,
    objects: Vec<ObjectFile>,
    /// What was built before, as it is needed.
    needed: Vec<Entry>,
}

impl Entry {
    /// The files of the modules, each after those that it needs.
    fn files(&self) -> Vec<Utf8PathBuf> {
        let own = self.objects.iter().map(|object| object.file.clone());
        self.needed.iter().flat_map(Self::files).chain(own).collect()
    }
}

#[derive(Deserialize)]
struct ObjectFile {
    file: Utf8PathBuf,
}

#[derive(Deserialize)]
struct Trace {
    headline: String,
    frames: Vec<TraceFrame>,
}

#[derive(Deserialize)]
struct TraceFrame {
    part: Option<String>,
    function: String,
    offset: u64,
    places: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    file: String,
    line: u32,
    text: Option<String>,
}

/// Reads an answer. One that is none of the tool's is taken as saying nothing.
pub(super) fn read(stdout: &[u8]) -> StepAnswer {
    let document = serde_json::from_slice(stdout).unwrap_or(Document::Other(serde::de::IgnoredAny));
    match document {
        Document::Error { error, remedy } => {
            let complaint = complaint(&error);
            // What a compiler said tells more than which command ended.
            let reason = complaint.clone().unwrap_or_else(|| first_line(&error));
            StepAnswer { complaint, reason, remedy, ..StepAnswer::default() }
        }
        Document::List(entries) => of_entries(entries),
        Document::Other(_) => StepAnswer::default(),
    }
}

fn of_entries(entries: Vec<Entry>) -> StepAnswer {
    let mut answer = StepAnswer::default();
    for entry in entries {
        answer.built.extend(entry.files());
        if entry.verdict.is_some() && answer.again.is_none() {
            answer.reason = first_line(&entry.reason);
            answer.trace = entry.trace.as_ref().map(text);
            answer.again = entry.again;
            answer.console = entry.console;
        }
    }
    answer
}

/// The first line that says something.
fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// The first line that a compiler or linker calls an error.
pub(super) fn complaint(text: &str) -> Option<String> {
    // The tool sets what a program printed apart.
    let mut lines = text.lines().skip(1).map(|line| line.trim().trim_start_matches("| "));
    let calls_it_one =
        |line: &&str| ["error:", "error[", "ERROR:", "undefined!"].iter().any(|word| line.contains(word));
    lines.find(calls_it_one).map(str::to_owned)
}

/// A trace as the tool shows it to people.
fn text(trace: &Trace) -> String {
    let mut text = trace.headline.clone();
    for TraceFrame { part, function, offset, places } in &trace.frames {
        if let Some(part) = part {
            text.push_str(&format!("\n  {part}:"));
        }
        text.push_str(&format!("\n  {:<32}", format!("{function}+{offset:#x}")));
        if let Some(Place { file, line, text: source }) = places.last() {
            let source = source.as_deref().unwrap_or_default();
            text.push_str(format!(" {:<27} {source}", format!("{file}:{line}")).trim_end());
        }
        let kept = text.trim_end().len();
        text.truncate(kept);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_first_line_and_what_a_compiler_said() {
        let json = br#"{"error":"`make` failed (exit status 2)\n  hello.c: In function\n  | hello.c:3:1: error: x undeclared\nmake: *** Error 2","remedy":"see the log","exit":1}"#;
        let answer = read(json);
        assert_eq!(answer.reason, "hello.c:3:1: error: x undeclared");
        assert_eq!(answer.complaint.as_ref(), Some(&answer.reason));
        let refused = read(br#"{"error":"x: has no series","remedy":null,"exit":4}"#);
        assert_eq!((refused.reason.as_str(), refused.complaint), ("x: has no series", None));
        assert_eq!(answer.remedy.as_deref(), Some("see the log"));
    }

    #[test]
    fn a_verdict_has_its_trace_and_the_line_that_does_it_again() {
        let json = br#"[{"release":"7.2-a","verdict":"oops","reason":"BUG: null\nmore","again":"cargo kmod insmod",
            "console":"/t/console.log","trace":{"headline":"BUG: null","frames":[
              {"function":"f","offset":11,"size":20,"places":[{"function":"f","file":"a.c","line":9,"text":"*p = 1;"}]},
              {"part":"Freed","function":"g","offset":0,"size":1,"places":[]}]}}]"#;
        let answer = read(json);
        assert_eq!(
            (answer.reason.as_str(), answer.again.as_deref()),
            ("BUG: null", Some("cargo kmod insmod"))
        );
        let expected = format!("BUG: null\n  {:<32} {:<27} *p = 1;\n  Freed:\n  g+0x0", "f+0xb", "a.c:9");
        assert_eq!(answer.trace, Some(expected));
    }

    #[test]
    fn what_was_built_is_known_and_what_is_no_answer_says_nothing() {
        let json = br#"[{"release":"7","project":"a 1","objects":[{"name":"a","file":"/t/a.ko","size":1}],
            "needed":[{"objects":[{"file":"/t/b.ko"}]}]}]"#;
        assert_eq!(read(json).built, ["/t/b.ko", "/t/a.ko"]);
        for other in [&b""[..], b"{}", b"[1]", b"[{\"trace\":3}]", b"\xff"] {
            assert_eq!(read(other), StepAnswer::default());
        }
    }
}
