// SPDX-License-Identifier: GPL-2.0
//! Kernels: their releases, what the archive has of them, and the trees modules are built against.

pub mod config;
pub mod discover;
pub mod installed;
pub mod kdir;
pub mod prepare;
pub mod release;
pub mod rust;
pub mod source;
pub mod symvers;
