// SPDX-License-Identifier: GPL-2.0
//! Modules in a system's `/lib/modules/RELEASE`: put there, taken away, looked at.
//!
//! Whatever changes a system goes through one [`transaction`]: all that is new is made and checked first, beside what is
//! there; then a [`journal`] is committed by one rename; then everything is renamed in. A run that is killed is finished or
//! undone by the next. `docs/install.md` has the steps as a table.

mod acceptance;
pub mod change;
mod earlier;
pub mod index;
pub mod initramfs;
pub mod installation;
pub mod journal;
pub mod memory;
pub mod modprobe;
pub mod module;
pub mod outcome;
pub mod record;
pub mod removal;
pub mod status;
pub mod system;
pub mod transaction;
pub mod tree;

use kernel::machine::programs::{Program, program};

/// What installing modules needs of this machine.
pub const PROGRAMS: &[Program] = &[
    program("depmod", "kmod", "lists modules and what they need"),
    program("modprobe", "kmod", "says which file it would load"),
];
