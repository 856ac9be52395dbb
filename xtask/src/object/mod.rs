// SPDX-License-Identifier: GPL-2.0
//! A built module: the `.ko` file, what is in it, what it says of itself, and whether a kernel would take it.
//!
//! Everything here reads bytes and gives values; nothing is run. Whatever the bytes are, reading ends with a value or with
//! [`module::Unreadable`], never in a panic.

pub mod compression;
pub mod exports;
pub mod file;
pub mod modinfo;
pub mod module;
pub mod signature;
pub mod versions;
