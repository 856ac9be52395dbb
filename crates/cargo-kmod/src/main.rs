// SPDX-License-Identifier: GPL-2.0
//! The program behind `cargo kmod`.

fn main() -> std::process::ExitCode {
    cargo_kmod::main()
}
