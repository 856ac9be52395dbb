// SPDX-License-Identifier: GPL-2.0
//! A run that is over.

use std::time::Duration;

use camino::Utf8PathBuf;
use vm_protocol::Event;

use crate::accelerator::Accelerator;
use crate::verdict::Judgement;

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// The verdict and why.
    pub judgement: Judgement,
    /// What the guest reported.
    pub events: Vec<Event>,
    /// From QEMU's start to the greeting of init, if it came; of a machine that went on from where
    /// it was, to the first step.
    pub boot: Option<Duration>,
    /// Whether it went on from where it was, instead of booting.
    pub warm: bool,
    /// From QEMU's start to its end.
    pub wall: Duration,
    /// How instructions were executed.
    pub accelerator: Accelerator,
    /// The console log.
    pub console_log: Utf8PathBuf,
}

impl Run {
    /// What step `index` of the plan brought back.
    pub fn output(&self, index: usize) -> Option<&str> {
        self.events.iter().find_map(|event| match event {
            Event::StepEnded { index: at, output, .. } if *at == index => output.as_deref(),
            _ => None,
        })
    }
}
