// SPDX-License-Identifier: GPL-2.0
//! The tool behind `cargo xtask`: prepares kernel trees, builds out-of-tree modules against them,
//! and boots them. A library with a thin binary, so that the test suites can call any part.

pub mod archive;
pub mod bench;
pub mod cache;
pub mod cli;
pub mod commands;
pub mod context;
pub mod dkms;
pub mod failure;
pub mod install;
pub mod kernel;
pub mod key;
pub mod machine;
pub mod object;
pub mod process;
pub mod project;
pub mod report;
pub mod root;
pub mod rpm;
pub mod share;
pub mod source;
pub mod vm;
