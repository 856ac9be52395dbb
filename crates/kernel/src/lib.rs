// SPDX-License-Identifier: GPL-2.0
//! Kernels: what a distribution has of them, the roots their compilers run in, and the trees that
//! modules are built against.
//!
//! What is peculiar to a distribution is behind [`distribution::Distribution`]; nobody above this
//! crate knows of one. Of modules, projects and machines this crate knows nothing.

pub mod artefacts;
pub mod asked;
pub mod collection;
pub mod context;
pub mod debug_information;
pub mod discover;
pub mod disk_usage;
pub mod distribution;
pub mod failures;
pub mod from_source;
mod headers_configuration;
pub mod installed;
mod kconfig;
pub mod kdir;
pub mod kept;
pub mod kmod;
pub mod machine;
pub mod make;
mod making;
mod new_kernel;
pub mod origin;
pub mod prepare;
pub mod root;
pub mod rust;
pub mod sanitizing;
mod seed;
pub mod shared_source;
mod source;
pub mod store;
pub mod store_place;
pub mod toolchain;
pub mod version;
mod whole;
pub mod workers;
