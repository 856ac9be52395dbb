// SPDX-License-Identifier: GPL-2.0
//! Runs things several times and keeps how long each took.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;

use report::Report;

/// How long one thing took, in seconds, each time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// What was timed.
    pub what: String,
    /// The one in the middle; of an even number, the mean of the two.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// Each, in the order they were run.
    pub runs: Vec<f64>,
}

impl Timing {
    /// Of seconds measured.
    ///
    /// # Panics
    ///
    /// If nothing was measured.
    pub fn new(what: impl Into<String>, runs: Vec<f64>) -> Self {
        assert!(!runs.is_empty(), "nothing was measured");
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let odd = sorted.len() % 2 == 1;
        let median = if odd { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { what: what.into(), median, min: sorted[0], max: sorted[sorted.len() - 1], runs }
    }
}

/// One thing to be timed.
pub struct Subject<'a> {
    what: String,
    before: Box<dyn FnMut() -> Result<()> + 'a>,
    work: Box<dyn FnMut() -> Result<()> + 'a>,
}

impl<'a> Subject<'a> {
    /// `work`, shown as `what`.
    pub fn new(what: impl Into<String>, work: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { what: what.into(), before: Box::new(|| Ok(())), work: Box::new(work) }
    }

    /// Does `before` each time first, which is not timed.
    #[must_use]
    pub fn before(mut self, before: impl FnMut() -> Result<()> + 'a) -> Self {
        self.before = Box::new(before);
        self
    }

    /// Seconds of one run.
    fn seconds(&mut self) -> Result<f64> {
        (self.before)().with_context(|| format!("before timing {}", self.what))?;
        let started = Instant::now();
        (self.work)().with_context(|| format!("timing {}", self.what))?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Times each subject `runs` times, in turns, so that what else the machine does meets all of them
/// alike. A round before that does not count: it fills caches and builds what is not built yet.
pub fn in_turns(report: &Report, runs: usize, mut subjects: Vec<Subject<'_>>) -> Result<Vec<Timing>> {
    let mut taken = vec![Vec::with_capacity(runs); subjects.len()];
    for round in 0..=runs {
        let title = if round == 0 { "once, not counted".to_owned() } else { format!("{round} of {runs}") };
        for (subject, taken) in subjects.iter_mut().zip(&mut taken) {
            let step = report.step("Timing", &format!("{}: {title}", subject.what));
            let seconds = subject.seconds()?;
            drop(step);
            if round > 0 {
                taken.push(seconds);
            }
        }
    }
    Ok(subjects.into_iter().zip(taken).map(|(subject, taken)| Timing::new(subject.what, taken)).collect())
}

/// Times a subject that takes too long to be run again.
pub fn once(report: &Report, mut subject: Subject<'_>) -> Result<Timing> {
    let step = report.step("Timing", &format!("{}: once", subject.what));
    let seconds = subject.seconds()?;
    drop(step);
    Ok(Timing::new(subject.what, vec![seconds]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_one_in_the_middle() {
        let timing = Timing::new("x", vec![3.0, 1.0, 10.0]);
        assert_eq!((timing.median, timing.min, timing.max), (3.0, 1.0, 10.0));
        assert_eq!(timing.runs, [3.0, 1.0, 10.0]);
        assert_eq!(Timing::new("x", vec![1.0, 2.0, 4.0, 9.0]).median, 3.0);
        assert_eq!(Timing::new("x", vec![7.0]).median, 7.0);
    }

    #[test]
    fn subjects_take_turns_after_a_round_that_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let subject = |name: &'static str| {
            let order = &order;
            Subject::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok(())
            })
        };
        let timings = in_turns(&Report::silent(), 2, vec![subject("a"), subject("b")]).unwrap();
        assert_eq!(*order.borrow(), "ababab");
        assert!(timings.iter().all(|timing| timing.runs.len() == 2));
    }

    #[test]
    fn what_fails_is_named() {
        let subject = Subject::new("xtask build", || anyhow::bail!("no"));
        let error = in_turns(&Report::silent(), 1, vec![subject]).unwrap_err();
        assert_eq!(format!("{error:#}"), "timing xtask build: no");
    }
}
