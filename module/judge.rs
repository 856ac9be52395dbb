// SPDX-License-Identifier: GPL-2.0
//! What becomes of a message: verified, counted, logged.
//!
//! All of this runs in the hook, with preemption disabled: it must not sleep or allocate.

use super::{
    bindings,
    counters,
    verify::{
        self,
        Asked,
        Cursor,
        Header,
        Malformed,
        Outcome, //
    }, //
};
use kernel::prelude::*;

/// Whether the client may go on with `message`.
pub(crate) fn accepts(message: &[u8]) -> bool {
    match verify::verify(message, Asked::guarded(), counters::level()) {
        Outcome::NotChecked => {
            counters::foreign();
            true
        }
        Outcome::Sound => {
            counters::checked();
            true
        }
        Outcome::Malformed(found) => {
            counters::checked();
            let reject = counters::malformed(found);
            log(found, reject, message);
            !reject
        }
    }
}

/// The window of the limit on log lines: five seconds, in ticks.
const LOG_WINDOW: u64 = 5 * bindings::HZ as u64;

/// The kernel's tick counter.
fn now() -> u64 {
    // SAFETY: `jiffies` is a static word. The kernel increments it at any time, so that it is read
    // by a single volatile load, as in C.
    let now = unsafe { (&raw const bindings::jiffies).read_volatile() };
    now as u64
}

/// Logs one malformed reply, unless too many were logged recently.
fn log(found: Malformed, rejected: bool, message: &[u8]) {
    if !counters::may_log(now(), LOG_WINDOW) {
        return;
    }
    let header = Header::read(Cursor::new(message));
    pr_warn!(
        "{}: rule={} command={} offset={} length={} section={}\n",
        if rejected { "rejected" } else { "counted" },
        found.rule.name(),
        header.map_or("OTHER", |header| header.command_name()),
        found.offset,
        message.len(),
        found.rule.section(),
    );
}
