// SPDX-License-Identifier: GPL-2.0
//! Regular expressions of a `dkms.conf`, which DKMS has bash match (`[[ … =~ … ]]`).

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use crate::ere;
use crate::error::{DirectiveError, DirectivePlace};
use crate::reader::values::Values;

/// A regular expression. Matching takes time linear in the text, whatever the expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    engine: Regex,
}

impl Pattern {
    /// The expression that an element of the array `directive` gives; `None` if it gives none.
    ///
    /// # Errors
    ///
    /// The text is not a regular expression.
    pub(crate) fn of(
        values: &Values,
        directive: &'static str,
        index: u32,
    ) -> Result<Option<Self>, DirectiveError> {
        let Some(text) = values.element(directive, index).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        Self::new(text).map(Some).map_err(|reason| DirectiveError::Pattern {
            place: DirectivePlace::of(values, directive, index),
            text: text.to_owned(),
            reason,
        })
    }

    fn new(text: &str) -> Result<Self, String> {
        let mut engine = RegexBuilder::new(&ere::translate(text)?);
        // Each group here may be several for the engine.
        let engine = engine.dot_matches_new_line(true).nest_limit(4 * ere::DEEPEST).build();
        let engine = engine.map_err(|error| format!("it is too large ({error})"))?;
        Ok(Self { text: text.to_owned(), engine })
    }

    /// Whether it is found anywhere in `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bash said of each, with glibc 2.36 in the C locale; `tests/host/patterns.rs` asks it
    /// of thousands.
    #[test]
    fn expressions_are_those_of_bash() {
        let release = "6.12.113+deb13-cloud-amd64";
        for (pattern, matches) in [
            ("^6\\.1[0-9]\\.", true),
            ("^5\\.", false),
            ("(rt|cloud)-amd64$", true),
            ("^[[:digit:]]+\\.", true),
            // What Perl has, and POSIX has not.
            ("^6\\.\\d+\\.", false),
            ("\\A6", false),
            ("amd64\\z", false),
            ("\\x2b", false),
            // What GNU has.
            ("\\bcloud\\b", true),
            ("\\<loud", false),
            ("^\\w\\W\\w", true),
            // Brackets.
            ("[a&&b]md", true),
            ("[6~~7]", true),
            ("[+--]deb", true),
            ("[[=6=]]", true),
            ("[[.-.]]cloud", true),
            ("[\\d]eb", true),
            ("[]d]eb", true),
            // Empty branches, groups and numbers.
            ("^(|5)6", true),
            ("()6", true),
            ("a||b", true),
            ("^1{,3}6", true),
            ("1{3}", false),
            ("^6)", false),
        ] {
            assert_eq!(Pattern::new(pattern).map(|found| found.matches(release)), Ok(matches), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_expression_for_bash_is_refused_with_the_reason() {
        for (pattern, reason) in [
            ("^*6", "nothing that `*` could repeat"),
            ("(?:6)", "nothing that `?` could repeat"),
            ("(?i)", "nothing that `?` could repeat"),
            ("a|{2}", "nothing that `{` could repeat"),
            ("(6", "a ( without its )"),
            ("[6", "a [ without its ]"),
            ("[[:number:]]", "[:number:], which is no class"),
            ("[[.hyphen.]]", "[.hyphen.], which is no character"),
            ("[9-6]", "9-6, which is backwards"),
            ("[[:digit:]-9]", "begins nowhere"),
            ("6{", "a { without its }"),
            ("6{}", "without a number"),
            ("6{x}", "something else than numbers"),
            ("6{2,1}", "in braces that is none"),
            ("6{32768}", "more than 32767"),
            ("6\\", "a backslash at its end"),
            // What has no end that is known before is refused, too, although bash takes it.
            ("(6)\\1", "a reference to what was matched before"),
            ("((6{1000}){1000}){1000}", "too large"),
        ] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        for deep in ["(".repeat(100_000), format!("6{}", "*".repeat(10_000))] {
            assert!(Pattern::new(&deep).is_err());
        }
        assert!(Pattern::new(&format!("{}6{}", "(".repeat(150), ")".repeat(150))).unwrap().matches("6"));
    }

    #[test]
    fn an_error_names_directive_and_line() {
        let conf = crate::DkmsConf::parse("A=1\nPATCH_MATCH[2]='('\n").unwrap();
        let values = conf.evaluate(&Default::default()).unwrap().values;
        let error = Pattern::of(&values, "PATCH_MATCH", 2).unwrap_err();
        assert_eq!(error.line(), Some(2));
        assert!(error.to_string().starts_with("PATCH_MATCH[2]: \"(\" is not"), "{error}");
    }
}
