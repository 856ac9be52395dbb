// SPDX-License-Identifier: GPL-2.0
//! Regular expressions of a `dkms.conf`, which DKMS has bash match (`[[ … =~ … ]]`).

use std::fmt;

use regex_lite::Regex;

use crate::error::DirectiveError;

/// A regular expression. Matching takes time linear in the text, whatever the expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// The expression that `directive` gives.
    ///
    /// # Errors
    ///
    /// The text is not a regular expression.
    pub(crate) fn new(directive: &str, text: &str) -> Result<Self, DirectiveError> {
        Regex::new(text).map(Self).map_err(|error| DirectiveError::Pattern {
            directive: directive.to_owned(),
            text: text.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Whether it is found anywhere in `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
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
        let error = Pattern::new("PATCH_MATCH", "(").unwrap_err();
        assert!(error.to_string().starts_with("PATCH_MATCH: \"(\" is not"), "{error}");
    }
}
