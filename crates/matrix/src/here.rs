// SPDX-License-Identifier: GPL-2.0
//! When and where something is done, as results say it.

use std::time::{SystemTime, UNIX_EPOCH};

/// How long the name of a machine is at most.
const NAME: usize = 64;

/// Seconds since 1970, by this machine's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What this machine is called.
pub(crate) fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().take(NAME).collect()
}
