// SPDX-License-Identifier: GPL-2.0
//! A running step: what it is doing, and how far it has got.
//!
//! On a terminal it is a bar, or a line where no total is known, redrawn several times a second.
//! Elsewhere it is a plain line now and then, so that a reader of the log sees that work goes on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::units::{counted, size};

/// How often a running step is redrawn on a terminal.
const REDRAWN: Duration = Duration::from_millis(150);

/// How often it is looked at whether a running step has been silent for too long.
const CHECKED: Duration = Duration::from_secs(1);

/// The unit in which progress is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Bytes.
    Bytes,
    /// Things of this name, one and many: `object`, `objects`.
    Things(&'static str, &'static str),
}

impl ProgressUnit {
    /// `12 of 40 objects`, `3.5 MB of 10.0 MB`; without a total, which is 0, `12 objects`.
    fn shown(self, reached: u64, total: u64) -> String {
        match (self, total) {
            (Self::Bytes, 0) => size(reached),
            (Self::Bytes, _) => format!("{} of {}", size(reached), size(total)),
            (Self::Things(one, many), 0) => counted(reached, one, many),
            (Self::Things(one, many), _) => format!("{reached} of {}", counted(total, one, many)),
        }
    }
}

/// Polled for how far a step has got.
type Watch = Box<dyn Fn() -> u64 + Send>;

/// Polled for what a step is doing.
type Tell = Box<dyn Fn() -> String + Send>;

#[derive(Default)]
struct State {
    over: bool,
    line: String,
    counted: Option<(ProgressUnit, u64)>,
    reached: u64,
    watch: Option<Watch>,
    tell: Option<Tell>,
}

impl State {
    /// How far the step has got, in a few words; empty where that is not known.
    fn far(&mut self) -> String {
        if let Some(watch) = &self.watch {
            self.reached = watch();
        }
        if let Some(tell) = &self.tell {
            self.line = printable(&tell());
        }
        // An estimate may be exceeded.
        let counted = self.counted.map(|(unit, total)| {
            let total = if self.reached > total { 0 } else { total };
            if total + self.reached == 0 { String::new() } else { unit.shown(self.reached, total) }
        });
        let parts = [counted.unwrap_or_default(), self.line.clone()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

struct Shared {
    started: Instant,
    state: Mutex<State>,
    ended: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `show` every `interval` until the step is over.
    fn repeat(&self, interval: Duration, mut show: impl FnMut(&mut State, Duration)) {
        let mut state = self.state();
        loop {
            let (guard, waited) = self
                .ended
                .wait_timeout_while(state, interval, |state| !state.over)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if !waited.timed_out() {
                return;
            }
            show(&mut state, self.started.elapsed());
        }
    }
}

/// A running step, shown by a thread of its own until this is dropped.
pub(crate) struct Live {
    shared: Arc<Shared>,
    bar: Option<(ProgressBar, MultiProgress)>,
    shower: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("started", &self.shared.started).finish_non_exhaustive()
    }
}

impl Live {
    fn new() -> Self {
        let shared = Shared { started: Instant::now(), state: Mutex::default(), ended: Condvar::default() };
        Self { shared: Arc::new(shared), bar: None, shower: None }
    }

    /// Not shown at all.
    pub(crate) fn silent() -> Self {
        Self::new()
    }

    /// Shown by `line` each `interval`, unless something else was said in that time: `spoken` is
    /// when that was last.
    pub(crate) fn plain(
        title: String,
        interval: Duration,
        spoken: impl Fn() -> Instant + Send + 'static,
        line: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let mut live = Self::new();
        let shared = Arc::clone(&live.shared);
        let mut shown = shared.started;
        let show = move |state: &mut State, elapsed: Duration| {
            if spoken().max(shown).elapsed() < interval {
                return;
            }
            shown = Instant::now();
            let far = state.far();
            let far = if far.is_empty() { far } else { format!(": {far}") };
            line(&format!("{title}, {} s{far}", elapsed.as_secs()));
        };
        live.shower = thread::Builder::new().spawn(move || shared.repeat(interval.min(CHECKED), show)).ok();
        live
    }

    /// Shown on the terminal, below what is there already of `bars`, once it has run for `from`.
    pub(crate) fn on_terminal(title: String, bars: &MultiProgress, from: Duration) -> Self {
        let mut live = Self::new();
        let bar = bars.add(ProgressBar::new(1).with_style(style("{prefix}  {msg}")).with_prefix(title));
        if from.is_zero() {
            bar.tick();
        }
        live.bar = Some((bar.clone(), bars.clone()));
        let shared = Arc::clone(&live.shared);
        let mut drawn = false;
        let show = move |state: &mut State, elapsed: Duration| {
            if elapsed < from {
                return;
            }
            let far = state.far();
            if let Some((_, total)) = state.counted.filter(|(_, total)| *total > 0 && state.reached <= *total)
            {
                if !drawn {
                    bar.set_style(style("{prefix}  [{bar:24}] {msg}"));
                    drawn = true;
                }
                bar.set_length(total);
                bar.set_position(state.reached);
            }
            let time =
                if elapsed.as_secs() < 2 { String::new() } else { format!("{} s  ", elapsed.as_secs()) };
            bar.set_message(format!("{time}{far}"));
        };
        live.shower = thread::Builder::new().spawn(move || shared.repeat(REDRAWN, show)).ok();
        live
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Sets the last line of output of the program that it runs.
    pub(crate) fn said(&self, line: &str) {
        self.shared.state().line = printable(line);
    }

    pub(crate) fn tell(&self, tell: impl Fn() -> String + Send + 'static) {
        self.shared.state().tell = Some(Box::new(tell));
    }

    pub(crate) fn count(&self, unit: ProgressUnit, total: u64) {
        self.shared.state().counted = Some((unit, total));
    }

    pub(crate) fn reach(&self, reached: u64) {
        self.shared.state().reached = reached;
    }

    pub(crate) fn watch(&self, watch: impl Fn() -> u64 + Send + 'static) {
        self.shared.state().watch = Some(Box::new(watch));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.ended.notify_all();
        if let Some(shower) = self.shower.take() {
            shower.join().ok();
        }
        if let Some((bar, bars)) = self.bar.take() {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
    }
}

/// So much of a program's line is shown, in characters.
const LONGEST: usize = 60;

/// A line without what would move the cursor, as far as it fits beside the rest.
fn printable(line: &str) -> String {
    let mut chars = line.trim().chars().filter(|c| !c.is_control());
    let mut shown: String = chars.by_ref().take(LONGEST).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are right");
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn how_far_it_is_is_said_with_and_without_a_total() {
        let mut state = State { line: "CC x.o".to_owned(), ..State::default() };
        assert_eq!(state.far(), "CC x.o");
        state.counted = Some((ProgressUnit::Things("object", "objects"), 0));
        assert_eq!(state.far(), "CC x.o");
        state.reached = 3;
        assert_eq!(state.far(), "3 objects, CC x.o");
        state.counted = Some((ProgressUnit::Things("object", "objects"), 40));
        assert_eq!(state.far(), "3 of 40 objects, CC x.o");
        // The total was an estimate.
        state.reached = 41;
        assert_eq!(state.far(), "41 objects, CC x.o");
        state.counted = None;
        state.tell = Some(Box::new(|| "[    1.2] x\r\n".to_owned()));
        assert_eq!(state.far(), "[    1.2] x");
        state.tell = Some(Box::new(String::new));
        state.counted = Some((ProgressUnit::Bytes, 10_000_000));
        state.watch = Some(Box::new(|| 3_500_000));
        assert_eq!(state.far(), "3.5 MB of 10.0 MB");
    }

    #[test]
    fn a_line_is_shown_as_far_as_it_fits() {
        assert_eq!(printable("  CC\t[M] x.o\r\n"), "CC[M] x.o");
        assert_eq!(printable(&"ä".repeat(100)), format!("{}…", "ä".repeat(LONGEST)));
    }

    /// Nothing was said since this was called.
    fn long_ago() -> impl Fn() -> Instant + Send {
        let then = Instant::now();
        move || then
    }

    #[test]
    fn where_something_else_is_said_all_the_time_a_step_says_nothing() {
        let interval = Duration::from_millis(1);
        let (sender, spoken_over) = mpsc::channel();
        let later = || Instant::now() + Duration::from_secs(3600);
        let line = move |text: &str| sender.send(text.to_owned()).unwrap();
        let quiet = Live::plain("Making x".to_owned(), interval, later, line);
        let (sender, lines) = mpsc::channel();
        let line = move |text: &str| sender.send(text.to_owned()).unwrap();
        let alone = Live::plain("Making y".to_owned(), interval, long_ago(), line);
        assert_eq!(lines.iter().take(20).count(), 20);
        drop((quiet, alone));
        assert_eq!(spoken_over.iter().count(), 0);
    }

    #[test]
    fn without_a_terminal_a_long_step_says_what_and_how_far_again_and_again() {
        let (sender, lines) = mpsc::channel();
        let line = move |text: &str| sender.send(text.to_owned()).unwrap();
        let live = Live::plain("Making x".to_owned(), Duration::from_millis(1), long_ago(), line);
        live.count(ProgressUnit::Things("object", "objects"), 3);
        live.reach(2);
        let said = lines.iter().find(|line| line.contains("2 of 3")).unwrap();
        assert_eq!(said, "Making x, 0 s: 2 of 3 objects");
        drop(live);
        // Nothing is said of a step that is over.
        assert_eq!(lines.iter().filter(|line| !line.starts_with("Making x, 0 s")).count(), 0);
    }

    #[test]
    fn a_short_step_says_nothing_in_between() {
        let (sender, lines) = mpsc::channel();
        let line = move |text: &str| sender.send(text.to_owned()).unwrap();
        drop(Live::plain("Making x".to_owned(), Duration::from_secs(3600), long_ago(), line));
        assert!(lines.recv().is_err());
    }
}
