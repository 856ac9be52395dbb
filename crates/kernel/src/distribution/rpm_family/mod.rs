// SPDX-License-Identifier: GPL-2.0
//! Fedora, RHEL and its rebuilds, openSUSE and SLES: the machine's own repositories through its
//! dnf(8) or zypper(8), kernels of `*-devel` packages, source packages, and roots made with
//! `--installroot`.

pub mod archive;
mod bootstrap;
mod build_tree;
mod contents;
mod distribution;
mod family;
mod host;
pub mod kernels;
mod names;
pub mod primary;
mod recipe;
mod repositories;
#[cfg(test)]
mod samples;
mod source;

pub use family::{FEDORA, RpmFamily, SUSE};
