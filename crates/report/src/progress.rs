// SPDX-License-Identifier: GPL-2.0
//! What the user sees while the tool works: steps with times on standard error, the result on
//! standard output.
//!
//! On a terminal a running step shows its elapsed time and the last line of the program it waits
//! for; elsewhere each step is one plain line when it begins and one when it ends.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Where progress and results go.
#[derive(Debug)]
pub struct Report {
    level: Level,
    json: bool,
    terminal: bool,
    colour: bool,
    live: Mutex<Option<Live>>,
    answered: AtomicBool,
    name: &'static str,
}

/// What the tool is called in every text of these crates; shown is the name that it was called by.
pub const TOOL: &str = "cargo kmod";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Silent,
    Normal,
    Verbose,
}

/// The step that is running now.
#[derive(Debug)]
struct Live {
    title: String,
    started: Instant,
    last_drawn: Instant,
    last_line: String,
}

/// A step under way; say how it ended with [`Step::done`]. Dropped without it, it leaves no end line: the error that follows says why.
#[must_use]
#[derive(Debug)]
pub struct Step<'a> {
    report: &'a Report,
    started: Instant,
}

impl Report {
    /// A report to this program's standard error. `name` is how the tool was called.
    pub fn new(verbose: bool, json: bool, name: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal() && !verbose;
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let level = if verbose { Level::Verbose } else { Level::Normal };
        Self { level, json, terminal, colour, live: Mutex::new(None), answered: AtomicBool::new(false), name }
    }

    /// A report that shows nothing, for tests.
    pub fn silent() -> Self {
        Self {
            level: Level::Silent,
            json: false,
            terminal: false,
            colour: false,
            live: Mutex::new(None),
            answered: AtomicBool::new(false),
            name: TOOL,
        }
    }

    /// Whether results are to be printed as JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Begins a step that may take long: `verb` in the present ("Preparing"), `what` it concerns.
    pub fn step(&self, verb: &str, what: &str) -> Step<'_> {
        let title = self.titled(verb, what);
        let now = Instant::now();
        if self.terminal {
            let live = Live { title, started: now, last_drawn: now, last_line: String::new() };
            self.draw(&live);
            *self.lock() = Some(live);
        } else {
            self.line(&title);
        }
        Step { report: self, started: now }
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

    /// The result of the command as lines for people; not shown with `--json`.
    pub fn say(&self, text: &str) {
        if !self.json && self.level > Level::Silent {
            self.clear_live();
            let mut out = std::io::stdout().lock();
            // A reader that has gone (`| head`) is no error of ours.
            writeln!(out, "{}", self.named(text)).ok();
        }
    }

    /// The result of the command as one JSON value, shown with `--json` only.
    pub fn data(&self, value: &impl Serialize) {
        if self.json && self.level > Level::Silent {
            self.answered.store(true, Ordering::Relaxed);
            let text = serde_json::to_string_pretty(value).expect("results are plain data");
            writeln!(std::io::stdout().lock(), "{text}").ok();
        }
    }

    /// Whether a JSON value was printed: there is one in a run, a result or an error.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
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
        } else if self.terminal
            && let Some(live) = self.lock().as_mut()
        {
            live.last_line = text.trim().to_owned();
            self.refresh(live);
        }
    }

    /// Called now and then while a program is silent.
    pub fn tick(&self) {
        if self.terminal
            && let Some(live) = self.lock().as_mut()
        {
            self.refresh(live);
        }
    }

    fn refresh(&self, live: &mut Live) {
        if live.last_drawn.elapsed() >= Duration::from_millis(150) {
            live.last_drawn = Instant::now();
            self.draw(live);
        }
    }

    fn draw(&self, live: &Live) {
        let width = terminal_width();
        let elapsed = live.started.elapsed().as_secs();
        let text = match (elapsed, live.last_line.as_str()) {
            (0..2, _) => live.title.clone(),
            (_, "") => format!("{}  {elapsed} s", live.title),
            (_, line) => format!("{}  {elapsed} s  {line}", live.title),
        };
        // Escape sequences have no width; the title holds at most one pair of them.
        let budget = width.saturating_sub(1) + if self.colour { 11 } else { 0 };
        let cut: String = text.chars().filter(|c| !c.is_control() || *c == '\x1b').take(budget).collect();
        write!(std::io::stderr().lock(), "\r\x1b[2K{cut}\x1b[0m").ok();
    }

    fn titled(&self, verb: &str, what: &str) -> String {
        if self.colour { format!("\x1b[1;32m{verb:>12}\x1b[0m {what}") } else { format!("{verb:>12} {what}") }
    }

    fn line(&self, text: &str) {
        if self.level > Level::Silent {
            if self.terminal {
                write!(std::io::stderr().lock(), "\r\x1b[2K").ok();
            }
            error_line(&self.named(text));
        }
    }

    fn named(&self, text: &str) -> String {
        text.replace(TOOL, self.name)
    }

    fn clear_live(&self) {
        if self.terminal && self.lock().take().is_some() {
            write!(std::io::stderr().lock(), "\r\x1b[2K").ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Step<'_> {
    /// Ends the step: `verb` in the past ("Prepared"), `what` came of it. Gives the time it took.
    pub fn done(self, verb: &str, what: &str) -> Duration {
        let took = self.started.elapsed();
        self.report.clear_live();
        self.report.note(verb, &format!("{what} in {}", seconds(took)));
        took
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.report.clear_live();
    }
}

/// A line on standard error. That nobody can read it, on a full disk or with standard error closed, is no reason to end.
pub fn error_line(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// A duration as people read it: `0.84 s`, `12.3 s`, `2 min 14 s`.
pub fn seconds(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    match secs {
        s if s < 1.0 => format!("{s:.2} s"),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
    }
}

/// A size as people read it: `812 B`, `35.1 kB`, `3.5 MB` (powers of ten).
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Columns padded to their widest cell, two blanks apart; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .map(|w| usize::from(w.ws_col))
        .filter(|w| *w > 20)
        .unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(seconds(Duration::from_millis(840)), "0.84 s");
        assert_eq!(seconds(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(seconds(Duration::from_secs(134)), "2 min 14 s");
        assert_eq!(size(812), "812 B");
        assert_eq!(size(3_500_000), "3.5 MB");
    }

    #[test]
    fn table_is_aligned() {
        let row = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        assert_eq!(table(&[row(&["A", "BB"]), row(&["ccc", "d"])]), "A    BB\nccc  d");
    }
}
