// SPDX-License-Identifier: GPL-2.0
//! Kernels that are installed in a system: what is there of each, whether modules can be built for
//! it now, and what supplies what is missing.
//!
//! Finding and judging only read, below the root directory of a system, whose links are followed as
//! that system would follow them itself.

pub mod adopt;
pub mod compilers;
pub mod layout;
pub mod package_family;
pub mod proof;
pub mod readiness;
pub mod supply;
pub mod system;
mod texts;

pub use texts::{config, symvers};

#[cfg(test)]
mod tests;
