// SPDX-License-Identifier: GPL-2.0
//! Being asked to end: Ctrl-C, or a batch system whose time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether the run is to end. What was begun then leaves a part of its result.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// One that is set by SIGINT and SIGTERM. The second of these ends the program at once.
    ///
    /// # Errors
    ///
    /// If the system does not let signals be handled.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // This one first: it looks whether the flag is set from before.
            flag::register_conditional_default(signal, Arc::clone(&stop.0))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.0)))
                .context("waiting for signals")?;
        }
        Ok(stop)
    }

    /// Whether it was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for it.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
