// SPDX-License-Identifier: GPL-2.0
//! One-line texts that go into files of several languages, and quoting for those that cannot be
//! limited.

use std::fmt::{self, Display};

use crate::Invalid;

/// A line of prose that means itself in C, Rust, rpm, make and YAML alike: a person, a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

/// A licence expression of SPDX: identifiers, `AND`, `OR`, `WITH`, parentheses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licence(String);

/// A version of the project's own, as both dkms and rpm take it: digits and letters, with `.`, `+`,
/// `~`, `^` and `_` between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Text {
    /// Takes a line.
    ///
    /// # Errors
    ///
    /// Refused, if it is empty, more than a line, or has in it what ends a string, begins a macro
    /// of rpm or a variable of make.
    pub fn parse(line: &str) -> Result<Self, Invalid> {
        let refuse = |reason: String| Err(Invalid::new(line, reason, "give one line of plain words"));
        if line.trim() != line || line.is_empty() {
            return refuse("is empty, or has blanks around it".to_owned());
        }
        match line.chars().find(|c| c.is_control() || "\\\"%{}$#".contains(*c) || is_separator(*c)) {
            Some(odd) => refuse(format!("has {odd:?} in it")),
            None => Ok(Self(line.to_owned())),
        }
    }
}

/// Characters that end a line for some readers, and none for others.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

impl Licence {
    /// Takes an expression. Whether its identifiers are known is not looked at.
    ///
    /// # Errors
    ///
    /// Refused, if there is anything but words and parentheses in it.
    pub fn parse(expression: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-.+ ()".contains(c);
        if expression.trim() != expression || expression.is_empty() || !expression.chars().all(allowed) {
            let remedy = "give identifiers of SPDX, such as GPL-2.0-only";
            return Err(Invalid::new(expression, "is not a licence expression", remedy));
        }
        Ok(Self(expression.to_owned()))
    }
}

impl Version {
    /// Takes a version.
    ///
    /// # Errors
    ///
    /// Refused, if rpm would not take it.
    pub fn parse(version: &str) -> Result<Self, Invalid> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._+~^".contains(c);
        if !version.starts_with(|c: char| c.is_ascii_alphanumeric()) || !version.chars().all(allowed) {
            let remedy = "letters and digits first, then also . _ + ~ ^";
            return Err(Invalid::new(version, "is not a version that rpm takes", remedy));
        }
        Ok(Self(version.to_owned()))
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As one word of a shell.
pub(crate) fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// As a basic string of TOML.
pub(crate) fn toml(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_itself_everywhere() {
        for line in ["Jane Doe <jane@example.org>", "Łukasz O'Neil, Ltd.", "a (b): c - d & e"] {
            assert_eq!(Text::parse(line).unwrap().to_string(), line);
        }
        for line in [
            "",
            " x",
            "x ",
            "a\nb",
            "a\rb",
            "a\tb",
            "a\0b",
            "50 %",
            "%{x}",
            "%(id)",
            "$(id)",
            "a\"b",
            "a\\",
            "{",
            "}",
            "a # b",
            "\u{2028}x",
            "{{name}}",
        ] {
            assert!(Text::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn licences_and_versions() {
        for text in [
            "GPL-2.0-only",
            "GPL-2.0-only AND (MIT OR LGPL-2.1-or-later)",
            "GPL-2.0-only WITH Linux-syscall-note",
        ] {
            assert_eq!(Licence::parse(text).unwrap().to_string(), text);
        }
        for text in ["", " GPL", "GPL\nX", "GPL; id", "%{x}", "GPL/MIT"] {
            assert!(Licence::parse(text).is_err(), "{text:?}");
        }
        for text in ["0.1.0", "1", "1.0~rc1", "2^git_1"] {
            assert_eq!(Version::parse(text).unwrap().to_string(), text);
        }
        for text in ["", ".1", "1-0", "1 0", "1%", "../1"] {
            assert!(Version::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell_and_for_toml() {
        assert_eq!(shell("/a b/$(id)/it's"), "'/a b/$(id)/it'\\''s'");
        assert_eq!(shell("a\nb"), "'a\nb'");
        assert_eq!(toml("/a b/\"x\"\\y\n"), "\"/a b/\\\"x\\\"\\\\y\\u000A\"");
    }
}
