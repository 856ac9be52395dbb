// SPDX-License-Identifier: GPL-2.0
//! Kernels from a source of the user's: a directory, which is only read, or a tar file.
//!
//! Source and configuration are looked at before anything long is begun. The source is copied into
//! the cache, once for all kernels that are made of it: a tree that somebody edits on would not be
//! the one that modules were built against before. Each kernel has an output directory of its own.

mod configuring;
mod given;
mod making;
mod prepare;
mod snapshot;
mod tarball;
mod wanted;

pub use prepare::{FromSource, check, prepare};
pub use wanted::WantedConfig;
