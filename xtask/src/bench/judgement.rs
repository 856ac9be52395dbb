// SPDX-License-Identifier: GPL-2.0
//! Limits, and whether what was measured keeps them.

use serde::Serialize;

use crate::bench::timing::Timing;

/// Whether a limit was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was kept.
    Pass,
    /// It was not.
    Over,
    /// Nothing could be compared.
    Skipped,
}

/// What a limit is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Wall time.
    Seconds,
    /// A part of another's wall time.
    Ratio,
    /// Memory, in millions of bytes.
    Megabytes,
}

/// One limit, held against the medians.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitCheck {
    /// What is limited, and beside what.
    pub what: String,
    /// What the numbers are.
    pub unit: Unit,
    /// What was found; none where it was skipped.
    pub found: Option<f64>,
    /// What it may be at most.
    pub limit: f64,
    /// Whether it is.
    pub outcome: Outcome,
    /// Why it was skipped.
    pub why: Option<String>,
}

impl LimitCheck {
    /// `timing` takes at most `limit` seconds.
    pub fn seconds(timing: &Timing, limit: f64) -> Self {
        Self::found(timing.what.clone(), Unit::Seconds, timing.median, limit)
    }

    /// `timing` takes at most `limit` of what `other` takes.
    pub fn ratio(timing: &Timing, other: &Timing, limit: f64) -> Self {
        let what = format!("{} / {}", timing.what, other.what);
        Self::found(what, Unit::Ratio, timing.median / other.median, limit)
    }

    /// `what` takes at most `limit` MB.
    pub fn megabytes(what: impl Into<String>, found: f64, limit: f64) -> Self {
        Self::found(what.into(), Unit::Megabytes, found, limit)
    }

    /// What could not be measured.
    pub fn skipped(what: impl Into<String>, limit: f64, why: String) -> Self {
        let (what, unit) = (what.into(), Unit::Ratio);
        Self { what, unit, found: None, limit, outcome: Outcome::Skipped, why: Some(why) }
    }

    fn found(what: String, unit: Unit, found: f64, limit: f64) -> Self {
        let outcome = if found <= limit { Outcome::Pass } else { Outcome::Over };
        Self { what, unit, found: Some(found), limit, outcome, why: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_held_against_limits() {
        let ours = Timing::new("ours", vec![1.0, 2.0, 30.0]);
        let theirs = Timing::new("theirs", vec![8.0, 8.0, 8.0]);
        let ratio = LimitCheck::ratio(&ours, &theirs, 0.25);
        assert_eq!((ratio.found, ratio.outcome), (Some(0.25), Outcome::Pass));
        assert_eq!(ratio.what, "ours / theirs");
        assert_eq!(LimitCheck::ratio(&ours, &theirs, 0.24).outcome, Outcome::Over);
        assert_eq!(LimitCheck::seconds(&ours, 2.0).outcome, Outcome::Pass);
        assert_eq!(LimitCheck::seconds(&ours, 1.9).outcome, Outcome::Over);
    }

    #[test]
    fn what_is_no_number_is_never_a_pass() {
        let zero = Timing::new("zero", vec![0.0]);
        assert_eq!(LimitCheck::ratio(&zero, &zero, 0.2).outcome, Outcome::Over);
    }
}
