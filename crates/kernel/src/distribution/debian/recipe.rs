// SPDX-License-Identifier: GPL-2.0
//! What a build root of a Debian suite must hold for a kernel.

use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

use crate::distribution::recipe::Recipe;
use crate::toolchain::Toolchain;

/// What recipes and stamps call this distribution.
pub(super) const ID: &str = "debian";

/// The suite of what is tried out: packages besides those of the suite under development.
pub(super) const EXPERIMENTAL: &str = "experimental";

/// Needed to build any kernel's host tools and modules. `python3` and `libdw-dev` are for
/// `resolve_btfids`, which `prepare` builds, and `pahole` writes the modules' BTF.
const KERNEL: &[&str] = &[
    "bc",
    "bison",
    "cpio",
    "flex",
    "kmod",
    "libc6-dev",
    "libdw-dev",
    "libelf-dev",
    "libssl-dev",
    "make",
    "pahole",
    "patch",
    "perl",
    "python3",
    "rsync",
    "xz-utils",
    "zstd",
];

/// Needed besides for a kernel with Rust: bindgen reads C through libclang.
const RUST: &[&str] = &["bindgen", "clang", "lld", "llvm", "rust-src", "rustc"];

/// Needed for a kernel of clang's: its make takes all tools from LLVM
/// (Documentation/kbuild/llvm.rst).
pub(super) const LLVM: &[&str] = &["clang", "lld", "llvm"];

/// A root of this suite with these packages.
pub fn recipe(suite: &str, packages: Vec<String>) -> Recipe {
    Recipe::new(ID, suite, packages)
}

/// The root for a kernel with this configuration from `suite` (`trixie-backports` is built in
/// `trixie`).
pub(super) fn for_kernel(suite: &str, config: &Config) -> Recipe {
    recipe(base_suite(suite), packages(config, &Toolchain::of(config)))
}

fn packages(config: &Config, toolchain: &Toolchain) -> Vec<String> {
    let rust = if config.is_yes("CONFIG_RUST") { RUST } else { &[] };
    let llvm = if config.is_of_clang() { LLVM } else { &[] };
    let mut packages: Vec<String> =
        [KERNEL, rust, llvm].into_iter().flatten().map(|name| (*name).to_owned()).collect();
    // The program's name is `x86_64-linux-gnu-gcc-14`, its package `gcc-14`.
    let gcc = config.compiler().and_then(|cc| cc.find("gcc").map(|at| cc[at..].to_owned()));
    match toolchain.architecture().filter(|_| toolchain.is_cross()) {
        Some(architecture) => packages.extend(cross(architecture, gcc)),
        None => packages.extend(gcc),
    }
    // Host tools are linked by plain `gcc`.
    packages.push("gcc".to_owned());
    packages
}

/// What compiles for another architecture: the compiler, the other tools, and a C library, which
/// Kconfig asks for whether the compiler can link a program (`CC_CAN_LINK`).
fn cross(architecture: Architecture, gcc: Option<String>) -> impl Iterator<Item = String> {
    // No package's name has an underscore.
    let triplet = architecture.triplet().replace('_', "-");
    let gcc = gcc.map(|gcc| format!("{gcc}-{triplet}"));
    let others = [format!("binutils-{triplet}"), format!("libc6-dev-{}-cross", architecture.debian())];
    gcc.into_iter().chain(others)
}

/// The suite whose toolchain packages of `suite` are built with.
pub fn base_suite(suite: &str) -> &str {
    if suite == EXPERIMENTAL {
        return "sid";
    }
    ["-backports", "-security", "-updates", "-proposed-updates"]
        .iter()
        .find_map(|suffix| suite.strip_suffix(suffix))
        .unwrap_or(suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backports_are_built_with_the_toolchain_of_their_base() {
        let config = Config::parse(
            "CONFIG_RUST=y\nCONFIG_CC_VERSION_TEXT=\"x86_64-linux-gnu-gcc-14 (Debian) 14.2.0\"\n",
        );
        let recipe = for_kernel("trixie-backports", &config);
        assert_eq!(recipe.suite, "trixie");
        assert_eq!(for_kernel(EXPERIMENTAL, &config).suite, "sid");
        assert!(
            recipe.packages().contains(&"gcc-14".to_owned())
                && recipe.packages().contains(&"rustc".to_owned())
        );
    }

    #[test]
    fn another_architecture_needs_its_compiler_its_tools_and_its_c_library() {
        for (machine, option, compiler, has, lacks) in [
            (
                Architecture::Amd64,
                "CONFIG_ARM64",
                "aarch64-linux-gnu-gcc-16",
                ["gcc", "gcc-16-aarch64-linux-gnu", "binutils-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
                "gcc-16",
            ),
            (
                Architecture::Arm64,
                "CONFIG_X86_64",
                "x86_64-linux-gnu-gcc-14",
                ["gcc", "gcc-14-x86-64-linux-gnu", "binutils-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
                "gcc-14",
            ),
            (
                Architecture::Arm64,
                "CONFIG_ARM64",
                "aarch64-linux-gnu-gcc-16",
                ["gcc", "gcc-16", "make", "libc6-dev"],
                "binutils-aarch64-linux-gnu",
            ),
        ] {
            let text = format!("{option}=y\nCONFIG_CC_VERSION_TEXT=\"{compiler} (Debian) 1\"\n");
            let config = Config::parse(&text);
            let found = packages(&config, &Toolchain::on(Some(machine), &config));
            assert!(has.iter().all(|name| found.contains(&(*name).to_owned())), "{found:?}");
            assert!(!found.contains(&lacks.to_owned()), "{found:?}");
        }
    }

    #[test]
    fn a_kernel_without_rust_needs_no_rust() {
        let config = Config::parse("# CONFIG_RUST is not set\n");
        assert!(!for_kernel("trixie", &config).packages().contains(&"rustc".to_owned()));
    }

    #[test]
    fn a_kernel_of_clangs_needs_the_tools_of_llvm() {
        let config =
            Config::parse("CONFIG_CC_IS_CLANG=y\nCONFIG_CC_VERSION_TEXT=\"Debian clang version 19\"\n");
        let recipe = for_kernel("trixie", &config);
        assert!(LLVM.iter().all(|name| recipe.packages().contains(&(*name).to_owned())), "{recipe:?}");
        assert!(!for_kernel("trixie", &Config::default()).packages().contains(&"clang".to_owned()));
    }
}
