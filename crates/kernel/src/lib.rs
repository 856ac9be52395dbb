// SPDX-License-Identifier: GPL-2.0
//! Kernels: what a distribution has of them, the roots their compilers run in, and the trees that modules are built against.

pub mod archive;
pub mod context;
pub mod discover;
pub mod failures;
pub mod installed;
pub mod kdir;
pub mod machine;
pub mod prepare;
pub mod root;
pub mod rust;
pub mod source;
