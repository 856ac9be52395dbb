// SPDX-License-Identifier: GPL-2.0
//! Modules in a system's `/lib/modules/RELEASE`: installed, uninstalled, reported on.
//!
//! Every change to a system goes through one [`transaction`]: what is new is written and checked
//! first, beside the existing files; then a [`journal`] is committed with one rename; then the new
//! files are renamed into place. If a run is killed, the next one finishes or undoes it.
//! `docs/install.md` has the steps as a table.

mod acceptance;
pub mod change;
pub mod depmod;
mod earlier;
pub mod index;
pub mod initramfs;
pub mod installation;
pub mod journal;
pub mod known_kernel;
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
pub mod uninstalled;

use kernel::machine::programs::{Program, program};

/// Programs that installing modules needs on this machine.
pub const PROGRAMS: &[Program] = &[
    program("depmod", "kmod", "indexes modules and their dependencies").in_rpms("kmod", "kmod"),
    program("modprobe", "kmod", "tells which file it would load").in_rpms("kmod", "kmod"),
];
