// SPDX-License-Identifier: GPL-2.0
//! A word that was not let in.

/// What is wrong with a word, so that an error can name the object, the reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The word as it was given.
    pub word: String,
    /// Why it is refused.
    pub reason: String,
    /// What would be taken.
    pub remedy: &'static str,
}

impl Invalid {
    pub(crate) fn new(word: &str, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self { word: word.to_owned(), reason: reason.into(), remedy }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}: {}", self.word, self.reason, self.remedy)
    }
}

impl std::error::Error for Invalid {}
