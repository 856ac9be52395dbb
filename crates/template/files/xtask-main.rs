// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask`: the tool, of the version that Cargo.lock names, for everybody who works here.

fn main() -> std::process::ExitCode {
    cargo_kmod::xtask()
}
