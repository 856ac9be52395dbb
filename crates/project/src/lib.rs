// SPDX-License-Identifier: GPL-2.0
//! A project: a directory with module sources. Which files belong to it, and how it is staged,
//! patched, built, stripped and signed.
//!
//! This crate knows sources, prepared kernels and keys. It must not know how a module gets into a
//! system, or how it is booted. Its boundary: [`Project`] describes the directory,
//! [`stage::Sources`] are its files for a kernel, [`build::build`] makes modules of them in a
//! directory of its own; the source itself is only changed by [`source::edit`], on request.

pub mod build;
pub mod command;
mod conf;
mod elsewhere;
pub mod find;
pub mod given;
mod identity;
pub mod implied;
pub mod kbuild;
pub mod key;
mod left_out;
pub mod needs;
pub mod notices;
mod outputs;
pub mod packed;
mod project;
mod purpose;
mod settings;
pub mod shell;
pub mod sign;
pub mod source;
pub mod stage;
pub mod strip;
mod target;
pub mod target_dir;

pub use project::{Opened, Project};
pub use purpose::Purpose;
pub use settings::Settings;
pub use target::BuildTarget;
