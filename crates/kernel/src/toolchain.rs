// SPDX-License-Identifier: GPL-2.0
//! What the kernel's `make` has to be told of compilers, for a kernel and its modules alike: it
//! follows from the kernel's own configuration and from the machine that compiles.

use kmodfile::architecture::Architecture;
use kmodfile::config::Config;

/// The tools that a kernel, and so each of its modules, is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The kernel's architecture, where it is known.
    architecture: Option<Architecture>,
    /// Whether programs of this machine cannot be the kernel's.
    cross: bool,
    compiler: Compiler,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Compiler {
    /// gcc, by the name that the configuration has.
    Gcc(String),
    /// clang, with LLVM's tools instead of binutils.
    Clang,
}

impl Toolchain {
    /// That of a kernel with this configuration, on this machine.
    pub fn of(config: &Config) -> Self {
        Self::on(Architecture::native(), config)
    }

    /// The same on a machine of this architecture.
    pub(crate) fn on(machine: Option<Architecture>, config: &Config) -> Self {
        let architecture = Architecture::of_config(config);
        let gcc = || Compiler::Gcc(config.compiler().unwrap_or("gcc").to_owned());
        let compiler = if config.is_of_clang() { Compiler::Clang } else { gcc() };
        Self { architecture, cross: architecture.is_some() && architecture != machine, compiler }
    }

    /// The kernel's architecture, where it is known.
    pub fn architecture(&self) -> Option<Architecture> {
        self.architecture
    }

    /// Whether the kernel is of another architecture than this machine.
    pub fn is_cross(&self) -> bool {
        self.cross
    }

    /// The C compiler's command.
    pub fn compiler(&self) -> &str {
        match &self.compiler {
            Compiler::Gcc(command) => command,
            Compiler::Clang => "clang",
        }
    }

    /// The command of a tool of binutils, such as `strip`, that knows the kernel's modules.
    pub fn binutils(&self, tool: &str) -> String {
        match self.architecture.filter(|_| self.cross) {
            Some(architecture) => format!("{}-{tool}", architecture.triplet()),
            None => tool.to_owned(),
        }
    }

    /// The variables for make's command line, or its `MAKEFLAGS`.
    pub fn make_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(architecture) = self.architecture.filter(|_| self.cross) {
            words.push(format!("ARCH={}", architecture.kernel()));
            words.push(format!("CROSS_COMPILE={}-", architecture.triplet()));
        }
        words.push(match &self.compiler {
            Compiler::Gcc(command) => format!("CC={command}"),
            Compiler::Clang => "LLVM=1".to_owned(),
        });
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_is_told_what_the_configuration_asks_for() {
        let gcc = "CONFIG_CC_VERSION_TEXT=\"aarch64-linux-gnu-gcc-16 (Debian 16.2.0-4) 16.2.0\"\n";
        let arm64 = format!("CONFIG_ARM64=y\n{gcc}");
        let clang = "CONFIG_X86_64=y\nCONFIG_CC_IS_CLANG=y\nCONFIG_CC_VERSION_TEXT=\"Debian clang version 21.1.8 (14)\"\n";
        let cross = "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-16";
        for (machine, config, words) in [
            (Some(Architecture::Amd64), arm64.as_str(), cross),
            (None, &arm64, cross),
            (Some(Architecture::Arm64), &arm64, "CC=aarch64-linux-gnu-gcc-16"),
            (Some(Architecture::Amd64), clang, "LLVM=1"),
            (Some(Architecture::Arm64), clang, "ARCH=x86_64 CROSS_COMPILE=x86_64-linux-gnu- LLVM=1"),
            (Some(Architecture::Amd64), "CONFIG_RISCV=y\n", "CC=gcc"),
        ] {
            let toolchain = Toolchain::on(machine, &Config::parse(config));
            assert_eq!(toolchain.make_words().join(" "), words, "{machine:?} {config}");
            let strip = toolchain.binutils("strip");
            assert_eq!(words.contains("CROSS_COMPILE"), strip != "strip", "{machine:?} {config} {strip}");
            assert!(words.contains(strip.trim_end_matches("strip")), "{machine:?} {config} {strip}");
        }
    }
}
