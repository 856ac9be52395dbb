// SPDX-License-Identifier: GPL-2.0
//! Outputs that nobody can read: on a full disk, or closed. No command panics over them, and each
//! ends with its own status.

use std::thread;

use report::Report;
use report::process::Cmd;

use crate::command_line::commands;
use crate::tool::{PROGRAM, Scratch, run};

/// What is done to the outputs of a command.
const SPOILT: &[&str] = &[">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", ">&-", "2>&-", ">&- 2>&-"];

/// How a command ends whose outputs are spoilt. Killed by a signal is 128 and more.
fn status(scratch: &Scratch, words: &[&str], spoilt: &str) -> i32 {
    let script = format!(r#""$@" {spoilt}"#);
    let cmd = Cmd::new("sh").args(["-c", &script, "sh", PROGRAM]).args(words);
    let cmd = cmd.env("XDG_CACHE_HOME", scratch.path()).env("HOME", scratch.path());
    cmd.finish(&Report::silent()).unwrap().status.code().unwrap()
}

#[test]
fn help_and_errors_of_no_command_panic_when_they_cannot_be_written() {
    let scratch = Scratch::new();
    let lines: Vec<Vec<String>> = commands()
        .iter()
        .flat_map(|command| ["--help", "--no-such-option"].map(|word| format!("{command} {word}")))
        .chain(
            ["--help", "--version", "no-such-command", "", "man", "man build", "completions zsh"]
                .map(str::to_owned),
        )
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let half = lines.len().div_ceil(2);
    thread::scope(|scope| {
        for lines in lines.chunks(half) {
            let scratch = &scratch;
            scope.spawn(move || lines.iter().for_each(|line| require_quiet_end(scratch, line)));
        }
    });
}

/// A usage error is one whoever reads it; what was asked for and could not be written may be a
/// failure.
fn require_quiet_end(scratch: &Scratch, line: &[String]) {
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    for spoilt in SPOILT {
        let found = status(scratch, &words, spoilt);
        let wrong = words.is_empty() || words.iter().any(|word| word.contains("no-such"));
        let right = if wrong { found == 2 } else { matches!(found, 0 | 1) };
        assert!(right, "{words:?} {spoilt}: status {found}");
    }
}

#[test]
fn commands_that_fail_end_with_their_own_status_all_the_same() {
    let scratch = Scratch::new();
    let nowhere = scratch.path().join("nowhere");
    for (wanted, words) in [
        (2, ["build", "--project", nowhere.as_str()]),
        (3, ["kernel", "remove", "7.2.1-nowhere"]),
        (2, ["inspect", "--json", nowhere.as_str()]),
        (2, ["man", "no", "such"]),
    ] {
        for spoilt in SPOILT {
            assert_eq!(status(&scratch, &words, spoilt), wanted, "{words:?} {spoilt}");
        }
    }
}

#[test]
fn a_result_that_was_not_written_is_a_failure() {
    let scratch = Scratch::new();
    for words in [&["man"][..], &["completions", "bash"], &["--dry-run", "key", "new"]] {
        assert_eq!(status(&scratch, words, ">/dev/full"), 1, "{words:?}");
        let script = r#""$@" >/dev/full"#;
        let cmd = Cmd::new("sh").args(["-c", script, "sh", PROGRAM]).args(words);
        let (_, said) = run(&cmd.env("XDG_CACHE_HOME", scratch.path()).env("HOME", scratch.path()));
        assert!(said.contains("error: standard output: cannot be written"), "{said}");
        assert!(!said.contains("gc"), "the cache has nothing to do with it: {said}");
        // A reader that has seen enough is none.
        let (status, said) = run(&Cmd::new("sh")
            .args(["-c", r#"{ "$@"; echo $? >&2; } | true"#, "sh", PROGRAM])
            .args(words)
            .env("XDG_CACHE_HOME", scratch.path())
            .env("HOME", scratch.path()));
        assert!(status == 0 && said.trim() == "0", "{said}");
    }
}
