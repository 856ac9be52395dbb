// SPDX-License-Identifier: GPL-2.0
//! Debian: suites, their indexes through an apt of our own, `linux-*` packages, and roots made by
//! mmdebstrap.

pub mod archive;
mod bootstrap;
mod build_tree;
mod distribution;
mod host;
pub mod index;
pub mod kernels;
pub mod mirror;
mod offered;
mod parts;
mod recipe;
mod source;
mod validity;

pub use distribution::Debian;
pub use recipe::{base_suite, recipe};
