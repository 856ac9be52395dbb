// SPDX-License-Identifier: GPL-2.0
//! The patterns of a `dkms.conf` beside bash, which DKMS has match them: thousands are made up, and
//! bash is asked of each.

use dkms_conf::{Values, directives};
use report::Report;
use report::process::Cmd;

use crate::tool::{Scratch, assert_refused};

/// Reads pattern and text, each ended by NUL, and prints the status of bash's match for each pair:
/// 0 it matches, 1 it does not, 2 it is no expression. The pattern is not quoted, as in DKMS.
const SCRIPT: &str = r#"
while IFS= read -r -d '' pattern && IFS= read -r -d '' text; do
    [[ $text =~ $pattern ]]
    echo $?
done
"#;

/// What patterns are made of: each piece alone is small, so that they meet in every order.
const PIECES: &[&str] = &[
    "6",
    "1",
    ".",
    "-",
    "a",
    "b",
    "_",
    " ",
    "\n",
    "^",
    "$",
    "|",
    "(",
    ")",
    "(",
    ")",
    "*",
    "+",
    "?",
    "{",
    "}",
    "{2}",
    "{0}",
    "{,3}",
    "{1,}",
    "{,}",
    "{0,2}",
    "{2,1}",
    "{1\\,2}",
    "{\\02}",
    ",",
    "[",
    "]",
    "[^",
    "[]",
    "[6-9]",
    "[+--]",
    "[a-z-]",
    "[^-6]",
    "[a&&b]",
    "[6~~7]",
    "[[=6=]]",
    "[[.-.]]",
    "[[.hyphen.]]",
    "[[.a.]-c]",
    "[\\d]",
    "[:digit:]",
    "[[:digit:]]",
    "[[:alpha:]_]",
    "[[:punct:]]",
    "[[:space:]]",
    "[^[:alnum:]]",
    "[[:x:]]",
    "[[:digit:]-9]",
    "[---]",
    "[9-6]",
    "\\",
    "\\.",
    "\\d",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\B",
    "\\<",
    "\\>",
    "\\`",
    "\\'",
    "\\A",
    "\\z",
    "\\x2b",
    "\\n",
    "\\(",
    "\\{",
    "\\]",
    "(?:",
    "(?i)",
    "()",
    "(|a)",
    "a||b",
    "%",
    "#",
    "&",
    "~",
    "\"",
    "'",
    "`",
    "!",
    "<",
    ">",
    ";",
    "=",
];

/// What is matched: releases, and what patterns are made of. No newline: no release has one, and
/// glibc takes `^` for true after some of them.
const TEXTS: &[&str] = &[
    "6.12.113+deb13-cloud-amd64",
    "6.1.0-18-rt-amd64",
    "5.10.0",
    "x86_64",
    "aarch64",
    "",
    "6",
    "66",
    "a",
    "ab",
    "b",
    "aab",
    "6.1",
    "a b",
    "6-7",
    "d",
    "A6",
    "_",
    "-",
    "+",
    "]",
    "\\",
    "=6=",
    "a&b",
    "^6",
    "6$",
    "{2}",
    "(a)",
    "a|b",
    "[6]",
    "\"'`!",
    "%#~;",
];

/// A small deterministic generator (xorshift64), so that a failure can be had again.
struct Random(u64);

impl Random {
    fn of<'a>(&mut self, choice: &[&'a str]) -> &'a str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        choice[usize::try_from(self.0 % choice.len() as u64).unwrap()]
    }
}

/// Pairs of pattern and text: each piece alone, then what chance makes of them.
fn pairs() -> Vec<(String, &'static str)> {
    let mut random = Random(0x0dd_5eed);
    let mut pairs: Vec<(String, &str)> = PIECES
        .iter()
        .flat_map(|piece| {
            [(*piece).to_owned(), format!("a{piece}"), format!("^{piece}"), format!("({piece})")]
        })
        .flat_map(|pattern| TEXTS.iter().map(move |text| (pattern.clone(), *text)))
        .collect();
    for length in (1..=8).cycle().take(20_000) {
        let pattern: String = (0..length).map(|_| random.of(PIECES)).collect();
        pairs.push((pattern, random.of(TEXTS)));
    }
    pairs
}

/// What bash says of each pair.
fn of_bash(pairs: &[(String, &str)]) -> Vec<String> {
    let input: Vec<u8> =
        pairs.iter().flat_map(|(pattern, text)| format!("{pattern}\0{text}\0").into_bytes()).collect();
    // A locale's own order and names of characters are not what a package is written for.
    let bash = Cmd::new("bash").args(["--norc", "-c", SCRIPT]).env("LC_ALL", "C").input(input);
    let said = bash.read(&Report::silent()).unwrap();
    said.lines().map(str::to_owned).collect()
}

/// What the reader says: as bash's status, and its error if there is one.
fn of_the_reader(pattern: &str, text: &str) -> (&'static str, String) {
    let mut values = Values::default();
    values.set("PATCH", 0, "x.patch");
    values.set("PATCH_MATCH", 0, pattern);
    match directives::patches(&values, text) {
        Ok(patches) if patches.is_empty() => ("1", String::new()),
        Ok(_) => ("0", String::new()),
        Err(error) => ("2", error.to_string()),
    }
}

#[test]
fn patterns_match_what_bash_matches() {
    let pairs: Vec<_> = pairs().into_iter().filter(|(pattern, _)| !pattern.is_empty()).collect();
    let said = of_bash(&pairs);
    assert_eq!(said.len(), pairs.len());
    let mut wrong = Vec::new();
    let mut count = [0; 3];
    for ((pattern, text), bash) in pairs.iter().zip(&said) {
        let (reader, error) = of_the_reader(pattern, text);
        count[bash.parse::<usize>().unwrap()] += 1;
        // The one thing that is refused although bash takes it: it has no end that is known before.
        let refused_on_purpose = error.contains("a reference to what was matched before");
        if reader != bash && !refused_on_purpose {
            wrong.push(format!("{pattern:?} on {text:?}: bash {bash}, here {reader} {error}"));
        }
    }
    println!("{} match, {} do not, {} are no expressions", count[0], count[1], count[2]);
    assert!(count.iter().all(|count| *count > 2000), "{count:?}");
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        pairs.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

#[test]
fn an_expression_that_is_none_is_refused_with_file_and_line() {
    let scratch = Scratch::new();
    let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n\nBUILD_EXCLUSIVE_KERNEL='^*6'\n";
    fs_err::write(scratch.path().join("dkms.conf"), conf).unwrap();
    let tool = scratch.tool(&["build", "--project", scratch.path().as_str()]);
    let object = scratch.path().join("dkms.conf:4");
    assert_refused(&tool, 4, object.as_str(), "BUILD_EXCLUSIVE_KERNEL[0]: \"^*6\" is not", "grep -E");
}
