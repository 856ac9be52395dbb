// SPDX-License-Identifier: GPL-2.0
//! The verifier as a host crate.
//!
//! The kernel module includes `mod.rs` by path; this file only wraps the same tree so that the
//! host workspace compiles it, tests it, and runs it over captures.
#![no_std]
#![forbid(unsafe_code)]

#[path = "mod.rs"]
mod verify;
pub use verify::*;
