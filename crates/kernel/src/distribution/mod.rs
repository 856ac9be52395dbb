// SPDX-License-Identifier: GPL-2.0
//! Distributions: where to find a kernel's packages and its source of the same version, what is in
//! them, and how to make a build root in which the kernel's compilers run.
//!
//! The rest of the tool knows [`Distribution`] and [`Archive`] only. A new one is a directory
//! beside [`debian`] and [`rpm_family`], and a line in [`known`].

mod archive;
pub mod debian;
mod interface;
pub mod known;
pub mod package;
pub mod recipe;
pub mod rpm_family;

pub use archive::{Age, Archive, ArchiveKernel, Parts, SourceTar};
pub use interface::{BootChain, Distribution};
