// SPDX-License-Identifier: GPL-2.0
//! The tool behind `cargo xtask`: prepares kernel trees, builds out-of-tree modules against them,
//! and boots them. A library with a thin binary, so that the test suites can call any part.

pub mod cache;
pub mod context;
pub mod failure;
pub mod machine;
pub mod process;
pub mod report;
pub mod vm;
