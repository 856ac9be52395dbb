// SPDX-License-Identifier: GPL-2.0
//! What a build root of this family must hold for a kernel.

use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::family::RpmFamily;
use crate::toolchain::Toolchain;

/// Needed for a kernel of clang's.
pub(super) const LLVM: &[&str] = &["clang", "lld", "llvm"];

/// The root for a kernel with this configuration, of the machine's own suite.
pub(super) fn for_kernel(family: &RpmFamily, suite: &str, config: &Config) -> Recipe {
    let names = family.names;
    let rust = if config.is_yes("CONFIG_RUST") { names.rust } else { &[] };
    let llvm = if config.is_of_clang() { LLVM } else { &[] };
    let packages = [names.kernel, rust, llvm].into_iter().flatten().map(|name| (*name).to_owned());
    let recipe = Recipe::new(family.id, suite, packages);
    let toolchain = Toolchain::of(config);
    match toolchain.architecture().filter(|_| toolchain.is_cross()) {
        Some(architecture) => recipe.with(cross(architecture)),
        None => recipe,
    }
}

/// What compiles for another architecture.
fn cross(architecture: Architecture) -> [String; 2] {
    let triplet = format!("{}-linux-gnu", architecture.machine());
    [format!("gcc-{triplet}"), format!("binutils-{triplet}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::rpm_family::family::{FEDORA, SUSE};

    #[test]
    fn a_kernel_needs_what_its_configuration_asks_for() {
        let rust = Config::parse("CONFIG_RUST=y\n");
        let has = |recipe: &Recipe, name: &str| recipe.packages().contains(&name.to_owned());
        let fedora = for_kernel(&FEDORA, "fedora-43", &rust);
        assert!(
            has(&fedora, "bindgen-cli")
                && has(&fedora, "elfutils-libelf-devel")
                && !has(&fedora, "libelf-dev")
        );
        assert_eq!((fedora.distribution.as_str(), fedora.suite.as_str()), ("fedora", "fedora-43"));
        let suse = for_kernel(&SUSE, "opensuse-leap-16.0", &rust);
        assert!(has(&suse, "rust-bindgen") && has(&suse, "libelf-devel"));
        let plain = for_kernel(&FEDORA, "fedora-43", &Config::default());
        assert!(!has(&plain, "rust") && !has(&plain, "clang"));
        let clang = Config::parse("CONFIG_CC_IS_CLANG=y\nCONFIG_CC_VERSION_TEXT=\"clang version 21\"\n");
        assert!(has(&for_kernel(&FEDORA, "fedora-43", &clang), "lld"));
    }
}
