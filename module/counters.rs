// SPDX-License-Identifier: GPL-2.0
//! The mode, the counters, and the limit on log lines: all that the hook may touch.
//!
//! The hook runs with preemption off and on every processor at once, so these are plain atomics,
//! relaxed: each number is right by itself, and no order between two of them is promised.

use super::verify::{Level, Malformed, Rule};
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};

/// 0: count and log; 1: reject; 2: reject, and judge strictly.
static MODE: Atomic<u32> = Atomic::new(1);

/// Messages that passed through the hook.
static SEEN: Atomic<u64> = Atomic::new(0);
/// Of these, the ones that were verified.
static CHECKED: Atomic<u64> = Atomic::new(0);
/// Of these, the malformed ones.
static MALFORMED: Atomic<u64> = Atomic::new(0);
/// Of these, the ones that the client was made to refuse: those seen in modes 1 and 2.
static REJECTED: Atomic<u64> = Atomic::new(0);
/// Malformed replies that were counted without a line in the log.
static UNLOGGED: Atomic<u64> = Atomic::new(0);
/// Messages that the hook was not shown, by probes that have been removed.
static MISSED: Atomic<u64> = Atomic::new(0);
/// Messages seen and not verified, because they are longer than any that the client accepts.
static OVERSIZED: Atomic<u64> = Atomic::new(0);
/// Messages seen and not verified, because they are not SMB2: of another version, or still
/// encrypted or compressed.
static FOREIGN: Atomic<u64> = Atomic::new(0);
/// Malformed replies by rule.
static BY_RULE: [Atomic<u64>; Rule::COUNT] = [const { Atomic::new(0) }; Rule::COUNT];

/// How many lines may be logged in one window; a server must not fill the log.
const LINES: u32 = 10;
/// When the current window began, in ticks.
static WINDOW: Atomic<u64> = Atomic::new(0);
/// How many lines were logged in it.
static LOGGED: Atomic<u32> = Atomic::new(0);

/// The mode.
pub(crate) fn mode() -> u32 {
    MODE.load(Relaxed)
}

/// Sets the mode that `text` names: `0`, `1` or `2`, a newline after it or not.
///
/// # Errors
///
/// `EINVAL`: there is no such mode.
pub(crate) fn set_mode(text: &[u8]) -> Result {
    let mode = match text.trim_ascii_end() {
        b"0" => 0,
        b"1" => 1,
        b"2" => 2,
        _ => return Err(EINVAL),
    };
    MODE.store(mode, Relaxed);
    Ok(())
}

/// How much is asked of a reply in the mode that is set.
pub(crate) fn level() -> Level {
    match mode() {
        2 => Level::Strict,
        _ => Level::Enforce,
    }
}

/// Counts a message that passed through the hook.
pub(crate) fn seen() {
    SEEN.add(1, Relaxed);
}

/// Counts a message that was verified.
pub(crate) fn checked() {
    CHECKED.add(1, Relaxed);
}

/// Counts a message that was let through because it is longer than any that the client accepts.
pub(crate) fn oversized() {
    OVERSIZED.add(1, Relaxed);
}

/// Counts a message that was let through because it is not SMB2.
pub(crate) fn foreign() {
    FOREIGN.add(1, Relaxed);
}

/// Counts the messages that a probe was not shown, when it has been removed.
pub(crate) fn missed(messages: usize) {
    MISSED.add(messages as u64, Relaxed);
}

/// The messages that removed probes were not shown.
pub(crate) fn missed_before() -> u64 {
    MISSED.load(Relaxed)
}

/// Counts a malformed reply, and says whether the client is to refuse it.
pub(crate) fn malformed(found: Malformed) -> bool {
    MALFORMED.add(1, Relaxed);
    if let Some(counter) = BY_RULE.get(found.rule.index()) {
        counter.add(1, Relaxed);
    }
    let reject = mode() != 0;
    if reject {
        REJECTED.add(1, Relaxed);
    }
    reject
}

/// Whether a line may be logged at `now`, a count of ticks that wraps, when [`LINES`] may be in
/// `window` ticks; counts it when not. Two processors that race for a new window may both open
/// it: the limit is no exact one.
pub(crate) fn may_log(now: u64, window: u64) -> bool {
    if now.wrapping_sub(WINDOW.load(Relaxed)) >= window {
        WINDOW.store(now, Relaxed);
        LOGGED.store(0, Relaxed);
    }
    if LOGGED.fetch_add(1, Relaxed) < LINES {
        return true;
    }
    UNLOGGED.add(1, Relaxed);
    false
}

/// Writes every counter as `name=value`, one a line, without a last newline. `missed` is that of
/// the current probe, too. They are to be read by name: names are stable, their order is not, and
/// there may be new ones.
pub(crate) fn write(out: &mut fmt::Formatter<'_>, missed: u64) -> fmt::Result {
    write_totals(out, missed, "\n")?;
    for (rule, counter) in Rule::ALL.iter().zip(&BY_RULE) {
        write!(out, "\n{}={}", rule.name(), counter.load(Relaxed))?;
    }
    Ok(())
}

/// Writes the counters that are not of a rule as `name=value`, with `between` them.
fn write_totals(out: &mut fmt::Formatter<'_>, missed: u64, between: &str) -> fmt::Result {
    write!(out, "mode={}", mode())?;
    for (name, value) in [
        ("seen", SEEN.load(Relaxed)),
        ("checked", CHECKED.load(Relaxed)),
        ("malformed", MALFORMED.load(Relaxed)),
        ("rejected", REJECTED.load(Relaxed)),
        ("unlogged", UNLOGGED.load(Relaxed)),
        ("missed", missed),
        ("oversized", OVERSIZED.load(Relaxed)),
        ("foreign", FOREIGN.load(Relaxed)),
    ] {
        write!(out, "{between}{name}={value}")?;
    }
    Ok(())
}

/// The counters on one line: of the rules those that were broken, and of these as many as the
/// kernel's log keeps in a line.
pub(crate) struct Line {
    missed: u64,
}

impl Line {
    /// The counters as they are when it is written, and `missed`.
    pub(crate) fn new(missed: u64) -> Self {
        Self { missed }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_totals(out, self.missed, " ")?;
        for (rule, counter) in Rule::ALL.iter().zip(&BY_RULE) {
            match counter.load(Relaxed) {
                0 => {}
                broken => write!(out, " {}={broken}", rule.name())?,
            }
        }
        Ok(())
    }
}
