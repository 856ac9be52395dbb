// SPDX-License-Identifier: GPL-2.0
//! What the tool's speed is judged by: in one run, on one machine, the tool beside what one would
//! use otherwise.
//!
//! Each measure is a file of its own; [`timing`] runs, [`judgement`] compares, [`table`] shows.

pub mod artefacts;
pub mod build;
mod cold;
pub mod dkms;
pub mod flavours;
pub mod guard;
pub mod insmod;
pub mod inspect;
pub mod install;
pub mod judgement;
pub mod list;
pub mod matrix;
pub mod prepare;
pub mod rebuild;
pub mod rpm;
pub mod sanitize;
mod scratch;
pub mod table;
pub mod timing;
pub mod verifier;
mod virtme_ng;
pub mod weak_modules;

use kernel::machine::programs::{Program, program};
use serde::Serialize;

use judgement::LimitCheck;
use timing::Timing;

/// What the comparisons need of this machine, and nothing else does. virtme-ng itself comes from
/// Python's registry.
pub const PROGRAMS: &[Program] = &[
    program("busybox", "busybox-static", "the initramfs of virtme-ng"),
    program("python3", "python3-venv", "runs virtme-ng"),
    program("udevadm", "udev", "the guest of virtme-ng hands its output over through ports that udev names"),
];

/// What measures found.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// Everything that was timed.
    pub timings: Vec<Timing>,
    /// Every limit, and whether it was kept.
    pub judgements: Vec<LimitCheck>,
}

impl Results {
    /// Appends what another measure found.
    pub fn extend(&mut self, other: Self) {
        self.timings.extend(other.timings);
        self.judgements.extend(other.judgements);
    }
}
