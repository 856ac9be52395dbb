// SPDX-License-Identifier: GPL-2.0
//! Kernels that cannot be had.

/// A kernel that could not be prepared, so that none of its cells can be run.
#[derive(Clone, Debug)]
pub(super) struct Unprepared {
    /// The exit status of preparing it.
    pub(super) status: u8,
    /// Why.
    pub(super) reason: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// The command that does it again.
    pub(super) again: String,
}
