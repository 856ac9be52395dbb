// SPDX-License-Identifier: GPL-2.0
//! Says where the tool's own init was built: what the sample's init has in common with it is there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DEP_VM_INIT_TARGET_DIR");
    let dir = std::env::var("DEP_VM_INIT_TARGET_DIR").expect("the package vm tells where it built its init");
    println!("cargo::rustc-env=VM_INIT_TARGET_DIR={dir}");
}
