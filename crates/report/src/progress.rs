// SPDX-License-Identifier: GPL-2.0
//! What the user sees while the tool works: steps with times on standard error, the result on
//! standard output.
//!
//! On a terminal a running step shows how far it is, or the last line of the program it waits for;
//! elsewhere each step is one plain line when it begins, one every ten seconds, and one when it
//! ends.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::failure::Failure;
use crate::live::{Live, ProgressUnit};
use crate::outputs::{error_line, print};
use crate::units::seconds;

/// Where progress and results go.
#[derive(Debug)]
pub struct Report {
    level: Level,
    json: bool,
    /// The bars on a terminal; none elsewhere.
    bars: Option<MultiProgress>,
    colour: bool,
    /// The step that is running now, the innermost.
    live: Mutex<Vec<Weak<Live>>>,
    /// When something was last said, other than how far a step is.
    spoken: Arc<Mutex<Instant>>,
    answered: AtomicBool,
    /// What was warned of and is not said again.
    warned: Mutex<HashSet<String>>,
    /// Why a result did not get to standard output.
    lost: Mutex<Option<Failure>>,
    name: &'static str,
}

/// The tool's name in all texts of these crates; what users see instead is the name it was called
/// by.
pub const TOOL: &str = "cargo kmod";

/// How often a step that is not shown on a terminal says that it goes on.
const INTERVAL: Duration = Duration::from_secs(10);

/// A program that takes longer is shown on a terminal, where no step says what is done.
const LONG: Duration = Duration::from_secs(2);

/// So much is shown of the command line of such a program, in characters.
const SHOWN: usize = 70;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Silent,
    Normal,
    Verbose,
}

/// A step under way; say how it ended with [`Step::done`]. Dropped without it, it leaves no end
/// line: the error that follows says why.
#[must_use]
#[derive(Debug)]
pub struct Step<'a> {
    report: &'a Report,
    live: Arc<Live>,
}

impl Report {
    /// A report to this program's standard error. `name` is how the tool was called.
    pub fn new(verbose: bool, json: bool, name: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let level = if verbose { Level::Verbose } else { Level::Normal };
        let bars = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { level, json, colour, name, bars: (terminal && !verbose).then(bars), ..Self::silent() }
    }

    /// A report that shows nothing, for tests.
    pub fn silent() -> Self {
        Self {
            level: Level::Silent,
            json: false,
            bars: None,
            colour: false,
            live: Mutex::default(),
            spoken: Arc::new(Mutex::new(Instant::now())),
            answered: AtomicBool::new(false),
            warned: Mutex::default(),
            lost: Mutex::default(),
            name: TOOL,
        }
    }

    /// Whether results are to be printed as JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Begins a step that may take long: `verb` in the present ("Preparing"), `what` it concerns.
    pub fn step(&self, verb: &str, what: &str) -> Step<'_> {
        let title = self.titled(verb, &self.named(what));
        if self.bars.is_none() {
            self.line(&title);
        }
        Step { report: self, live: self.show(title, Duration::ZERO) }
    }

    /// Begins a step that is one of several at the same time: shown on a terminal only, where there
    /// is a place for each. Elsewhere a line for each would say nothing of the whole.
    pub fn beside(&self, verb: &str, what: &str) -> Option<Step<'_>> {
        self.bars.is_some().then(|| self.step(verb, what))
    }

    /// Shows that a program runs, should it take long, until the value is dropped. Where a step is
    /// running, that says what is done.
    pub(crate) fn running(&self, command: &str) -> Option<Arc<Live>> {
        if self.level == Level::Silent || self.innermost().is_some() {
            return None;
        }
        let mut shown: String = command.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
        if shown.len() < command.len() {
            shown.push('…');
        }
        Some(self.show(self.titled("Running", &shown), LONG))
    }

    /// Shows what `title` says as being done, on a terminal once it has taken as long as `from`.
    fn show(&self, title: String, from: Duration) -> Arc<Live> {
        let live = Arc::new(match (&self.bars, self.level) {
            (_, Level::Silent) => Live::silent(),
            (Some(bars), _) => Live::on_terminal(title, bars, from),
            (None, _) => {
                let spoken = Arc::clone(&self.spoken);
                Live::plain(title, INTERVAL, move || *locked(&spoken), error_line)
            }
        });
        locked(&self.live).push(Arc::downgrade(&live));
        live
    }

    /// One line of progress.
    pub fn note(&self, verb: &str, what: &str) {
        self.line(&self.titled(verb, what));
    }

    /// A warning: something the user should know although work goes on.
    pub fn warn(&self, text: &str) {
        let word = if self.colour { "\x1b[1;33mwarning\x1b[0m" } else { "warning" };
        self.line(&format!("{word}: {text}"));
    }

    /// The same, once in a run, however often there is a reason for it.
    pub fn warn_once(&self, text: &str) {
        if locked(&self.warned).insert(text.to_owned()) {
            self.warn(text);
        }
    }

    /// The result of the command as lines for people; not shown with `--json`.
    pub fn say(&self, text: &str) {
        if !self.json && self.level > Level::Silent {
            self.print(self.named(text));
        }
    }

    /// The result of the command as one JSON value, shown with `--json` only.
    pub fn data(&self, value: &impl Serialize) {
        if self.json && self.level > Level::Silent {
            self.answered.store(true, Ordering::Relaxed);
            self.print(serde_json::to_string_pretty(value).expect("results are plain data"));
        }
    }

    /// Whether a JSON value was printed: there is one in a run, a result or an error.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Why a result could not be printed, if so; a pipe that its reader closed early does not
    /// count.
    pub fn lost(&self) -> Option<Failure> {
        locked(&self.lost).take()
    }

    /// A command that is about to run; shown with `-v`.
    pub fn command(&self, line: &str) {
        if self.level == Level::Verbose {
            self.line(&format!("    $ {line}"));
        }
    }

    /// A line that a running program printed.
    pub fn output_line(&self, text: &str) {
        if self.level == Level::Verbose {
            self.line(&format!("    | {text}"));
        } else if let Some(live) = self.innermost() {
            live.said(text);
        }
    }

    fn innermost(&self) -> Option<Arc<Live>> {
        let mut steps = locked(&self.live);
        steps.retain(|step| step.strong_count() > 0);
        steps.last()?.upgrade()
    }

    fn print(&self, mut text: String) {
        text.push('\n');
        let printed = self.above_bars(|| print(text.as_bytes()));
        if let Err(failure) = printed {
            locked(&self.lost).get_or_insert(failure);
        }
    }

    fn titled(&self, verb: &str, what: &str) -> String {
        if self.colour { format!("\x1b[1;32m{verb:>12}\x1b[0m {what}") } else { format!("{verb:>12} {what}") }
    }

    fn line(&self, text: &str) {
        if self.level > Level::Silent {
            self.above_bars(|| error_line(&self.named(text)));
        }
    }

    /// Writes while no bar is in the way.
    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        *locked(&self.spoken) = Instant::now();
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn named(&self, text: &str) -> String {
        text.replace(TOOL, self.name)
    }
}

impl Step<'_> {
    /// Sets how much there is to do; an estimate will do. With 0 the total is unknown, and only
    /// what is done is shown.
    pub fn count(&self, unit: ProgressUnit, total: u64) {
        self.live.count(unit, total);
    }

    /// Sets how much of it is done.
    pub fn reach(&self, reached: u64) {
        self.live.reach(reached);
    }

    /// Polls `watch` for how much of it is done.
    pub fn watch(&self, watch: impl Fn() -> u64 + Send + 'static) {
        self.live.watch(watch);
    }

    /// Polls `tell` for what it is doing, where nothing of it is counted.
    pub fn tell(&self, tell: impl Fn() -> String + Send + 'static) {
        self.live.tell(tell);
    }

    /// Ends the step: `verb` in the past ("Prepared"), `what` came of it. Gives the time it took.
    pub fn done(self, verb: &str, what: &str) -> Duration {
        let Self { report, live } = self;
        let took = live.elapsed();
        drop(live);
        report.note(verb, &format!("{what} in {}", seconds(took)));
        took
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
