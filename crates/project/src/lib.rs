// SPDX-License-Identifier: GPL-2.0
//! A project: a directory of module sources. What belongs to it, how it is laid out, patched, built, stripped and signed.

pub mod build;
pub mod command;
pub mod find;
pub mod implied;
pub mod kbuild;
pub mod key;
pub mod packed;
mod project;
mod replacement;
pub mod shell;
pub mod sign;
pub mod source;
pub mod stage;
pub mod strip;
mod target;
pub mod target_dir;

pub use project::{Opened, Project, Settings};
pub use target::BuildTarget;
