// SPDX-License-Identifier: GPL-2.0
//! Distributions: where a kernel's packages and its source of the same version are found, what is in them, and how a root
//! is made in which the kernel's compilers run.
//!
//! [`Distribution`] and [`Archive`] are all that the rest of the tool knows of one. A new one is a directory beside
//! [`debian`] and a line in [`known`].

mod archive;
pub mod debian;
mod interface;
pub mod known;
pub mod package;
pub mod recipe;

pub use archive::{Age, Archive, Kernel, Parts, SourceTar};
pub use interface::{BootChain, Distribution};
