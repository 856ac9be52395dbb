// SPDX-License-Identifier: GPL-2.0
//! The supported distributions.

use crate::distribution::debian::Debian;
use crate::distribution::interface::Distribution;
use report::failure::Failure;

/// All of them.
pub const ALL: &[&dyn Distribution] = &[&Debian];

/// The default distribution.
pub fn usual() -> &'static dyn Distribution {
    ALL[0]
}

/// The distribution with this id.
pub fn named(id: &str) -> Result<&'static dyn Distribution, Failure> {
    ALL.iter().copied().find(|distribution| distribution.id() == id).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|distribution| distribution.id()).collect();
        Failure::refused(id, "unknown distribution").remedy(format!("choose one of: {}", names.join(", ")))
    })
}
