// SPDX-License-Identifier: GPL-2.0
//! A built module: the `.ko` file, what is in it, what it says of itself, and whether a kernel would take it.
//!
//! What reads, reads bytes and gives values: whatever the bytes are, it ends with a value or with
//! [`module::Unreadable`], never in a panic. [`sign`] runs the programs that sign and verify.

pub mod compression;
pub mod exports;
pub mod file;
pub mod inspection;
pub mod load;
pub mod modinfo;
pub mod module;
pub mod packed;
mod replacement;
pub mod sign;
pub mod signature;
pub mod strip;
pub mod versions;
