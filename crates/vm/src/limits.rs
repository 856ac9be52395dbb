// SPDX-License-Identifier: GPL-2.0
//! How long a machine may take.

use std::time::Duration;

/// How long a run may take, on a machine with KVM; without it, each limit is multiplied
/// ([`crate::accelerator::Accelerator::slowdown`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From QEMU's start to the greeting of init.
    pub boot: Duration,
    /// Without a byte on the console or the port. Longer than the guest's own detectors of hangs
    /// take (`qemu.rs`), which tell more.
    pub idle: Duration,
    /// Altogether.
    pub hard: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { boot: secs(25), idle: secs(25), hard: secs(200) }
    }
}

impl Limits {
    /// One limit for everything, as a person said it.
    pub fn exactly(limit: Duration) -> Self {
        Self { boot: limit, idle: limit, hard: limit }
    }

    /// None: somebody sits before it. Ten years, so that a multiple is a number still.
    pub fn none() -> Self {
        Self::exactly(Duration::from_secs(10 * 365 * 86_400))
    }

    /// Those of a kernel that checks what it does, and is slower by that. Longer than the detectors
    /// of hangs in it (`boot.rs`).
    pub fn of_sanitizing() -> Self {
        let secs = Duration::from_secs;
        Self { boot: secs(100), idle: secs(60), hard: secs(600) }
    }

    /// Each of them `factor` times as long.
    pub(crate) fn scaled(self, factor: u32) -> Self {
        Self { boot: self.boot * factor, idle: self.idle * factor, hard: self.hard * factor }
    }
}
