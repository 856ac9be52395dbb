// SPDX-License-Identifier: GPL-2.0
//! A kernel module's file (`.ko`): what is in it, and whether a kernel would load it.

pub mod compression;
pub mod config;
pub mod exports;
pub mod file;
pub mod inspection;
pub mod load;
pub mod modinfo;
pub mod module;
pub mod release;
pub mod signature;
pub mod symvers;
pub mod versions;
