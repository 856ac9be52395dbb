// SPDX-License-Identifier: GPL-2.0
//! Regular expressions of a `dkms.conf`, which DKMS has bash match (`[[ … =~ … ]]`).

use std::fmt;

use regex_lite::Regex;

use report::failure::Failure;

/// A regular expression. Matching takes a time that is linear in the text, whatever the expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// The expression that `directive` gives.
    ///
    /// # Errors
    ///
    /// Refused, if it is none.
    pub fn new(directive: &str, text: &str) -> Result<Self, Failure> {
        Regex::new(text).map(Self).map_err(|error| {
            Failure::refused("dkms.conf", format!("{directive}: {text:?} is no regular expression: {error}"))
                .remedy("mend the expression: it is matched as by grep -E")
        })
    }

    /// Whether it is found anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_those_of_grep() {
        let matches = |pattern: &str, text: &str| Pattern::new("X", pattern).unwrap().matches(text);
        assert!(matches("^6\\.1[0-9]\\.", "6.12.1-amd64") && !matches("^6\\.1[0-9]\\.", "6.1.0"));
        assert!(matches("^[[:digit:]]+\\.", "6.12") && matches("(rt|cloud)-amd64$", "6.12-rt-amd64"));
        let failure = Pattern::new("PATCH_MATCH", "(").unwrap_err();
        assert!(failure.to_string().contains("PATCH_MATCH"), "{failure}");
    }
}
