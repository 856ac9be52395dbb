// SPDX-License-Identifier: GPL-2.0
//! The distributions that there are.

use crate::distribution::debian::Debian;
use crate::distribution::interface::Distribution;
use report::failure::Failure;

/// All of them.
pub const ALL: &[&dyn Distribution] = &[&Debian];

/// The one whose kernels are meant where none is named.
pub fn usual() -> &'static dyn Distribution {
    ALL[0]
}

/// The one that recipes call so.
pub fn named(id: &str) -> Result<&'static dyn Distribution, Failure> {
    ALL.iter().copied().find(|distribution| distribution.id() == id).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|distribution| distribution.id()).collect();
        Failure::refused(id, "is no distribution that this tool can make a build root of")
            .remedy(format!("name one of these: {}", names.join(", ")))
    })
}
