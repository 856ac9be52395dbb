// SPDX-License-Identifier: GPL-2.0
//! Architectures, and what the kernel, its tools and distributions call each.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// An architecture that kernels are built for.
///
/// ```
/// use kmodfile::architecture::Architecture;
/// use kmodfile::config::Config;
///
/// let config = Config::parse("CONFIG_ARM64=y\n");
/// let arm64 = Architecture::of_config(&config).unwrap();
/// assert_eq!((arm64.kernel(), arm64.machine(), arm64.debian()), ("arm64", "aarch64", "arm64"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64.
    #[default]
    Amd64,
    /// 64-bit Arm, little-endian.
    Arm64,
}

impl Architecture {
    /// All that are known.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The one that this program was compiled for; `None` if it is not among them.
    pub fn native() -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.machine() == std::env::consts::ARCH)
    }

    /// The one of a kernel with this configuration; `None` if it is not among them.
    pub fn of_config(config: &Config) -> Option<Self> {
        Self::ALL.into_iter().find(|known| config.is_yes(known.option()))
    }

    /// The one of this name, whoever's word it is: `x86_64`, `amd64`, `arm64`, `aarch64`.
    pub fn named(name: &str) -> Option<Self> {
        let names = |known: &Self| [known.kernel(), known.machine(), known.debian()];
        Self::ALL.into_iter().find(|known| names(known).contains(&name))
    }

    /// `e_machine` of its programs (elf(5)).
    pub fn elf(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }

    /// The option of a kernel's configuration that says so.
    fn option(self) -> &'static str {
        match self {
            Self::Amd64 => "CONFIG_X86_64",
            Self::Arm64 => "CONFIG_ARM64",
        }
    }

    /// What the kernel's `make` is given as `ARCH` (the kernel's Makefile).
    pub fn kernel(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its directory below `arch/` in the kernel's source.
    pub fn source(self) -> &'static str {
        match self {
            Self::Amd64 => "x86",
            Self::Arm64 => "arm64",
        }
    }

    /// What `uname -m` prints on it; RPM and Rust call it the same.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What Debian calls it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What the names of GNU tools for it begin with, without the last hyphen.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.debian())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_architecture() {
        for known in Architecture::ALL {
            let config = Config::parse(&format!("CONFIG_64BIT=y\n{}=y\n", known.option()));
            assert_eq!(Architecture::of_config(&config), Some(known));
            for name in [known.kernel(), known.machine(), known.debian()] {
                assert_eq!(Architecture::named(name), Some(known), "{name}");
            }
        }
        assert_eq!(Architecture::of_config(&Config::parse("CONFIG_RISCV=y\n")), None);
        assert_eq!(Architecture::named("riscv64"), None);
    }
}
