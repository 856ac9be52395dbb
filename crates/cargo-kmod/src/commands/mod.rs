// SPDX-License-Identifier: GPL-2.0
//! One file a command: each turns the user's words into calls of the nouns, and their results into
//! what is printed.

use std::collections::BTreeSet;

pub mod build;
pub mod completions;
mod consoles;
pub mod dkms;
pub mod doctor;
pub mod insmod;
pub mod inspect;
pub mod install;
pub mod kernel;
pub mod key;
pub mod man;
pub mod matrix;
pub mod new;
pub mod patch;
pub mod rpm;
pub mod secure_boot;
pub mod setup;
pub mod sign;
pub mod status;
mod tested;
pub mod uninstall;
pub mod vm;
pub mod weak_modules;

/// The kernels that were named, each once and in this order: what is made for one would otherwise
/// be made twice, into the same files.
fn each_once<Kernel: Clone + Ord>(kernels: &[Kernel]) -> Vec<Kernel> {
    let mut seen = BTreeSet::new();
    kernels.iter().filter(|kernel| seen.insert(*kernel)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::release::Release;

    #[test]
    fn a_release_that_is_named_twice_is_meant_once() {
        let releases =
            |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Release>>();
        assert_eq!(
            each_once(&releases(&["7.2.1-b", "7.2.1-a", "7.2.1-b"])),
            releases(&["7.2.1-b", "7.2.1-a"])
        );
    }
}
