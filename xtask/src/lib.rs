// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask`: the tool's commands, and those that only this repository has.

pub mod bench;
pub mod cli;
pub mod client;
pub mod commands;
pub mod init;
pub mod share;
pub mod trial;

use camino::{Utf8Path, Utf8PathBuf};

/// The root of this repository: where the workspace's `Cargo.toml` is.
pub fn repository() -> Utf8PathBuf {
    let manifest = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is a member of the workspace").to_owned()
}
