// SPDX-License-Identifier: GPL-2.0
//! What was reached in instrumented modules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Places in a section, by their offsets from its beginning, and how often each was passed.
pub type SectionHits = BTreeMap<u64, u64>;

/// What was reached in instrumented modules: what a module's code records are addresses that its
/// calls return to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedPlaces {
    /// By the name of a module as `/proc/modules` shows it and that of a section.
    pub modules: BTreeMap<String, BTreeMap<String, SectionHits>>,
    /// How many places were in no module that is known: in one whose init failed, as then nobody
    /// can tell where it was.
    pub elsewhere: u64,
    /// The steps during which more was passed than there was room for, so that what they reached
    /// last is missing.
    pub overflowed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_arrive_as_numbers() {
        let hits = SectionHits::from([(27, 1), (4096, 1_000_000)]);
        let sections = BTreeMap::from([(".text".to_owned(), hits)]);
        let modules = BTreeMap::from([("x".to_owned(), sections)]);
        let reached = ReachedPlaces { modules, elsewhere: 2, overflowed: vec!["rmmod x".to_owned()] };
        let text = serde_json::to_string(&reached).unwrap();
        assert!(text.contains(r#""27":1"#), "{text}");
        assert_eq!(serde_json::from_str::<ReachedPlaces>(&text).unwrap(), reached);
    }
}
