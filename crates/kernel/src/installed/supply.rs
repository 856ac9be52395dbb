// SPDX-License-Identifier: GPL-2.0
//! What supplies what an installed kernel lacks, in the words of the system that it is installed
//! in.

use camino::Utf8Path;

use crate::installed::layout::InstalledKernel;
use crate::installed::system::SystemRoot;
use kmodfile::architecture::Architecture;

/// Systems by what their kernels' packages are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageFamily {
    /// Debian, and what is named as it is.
    Debian,
    /// Ubuntu and its derivatives.
    Ubuntu,
    /// Armbian, whichever of the two it is based on.
    Armbian,
    /// Arch Linux and its derivatives.
    Arch,
    /// Fedora, RHEL and its rebuilds.
    Fedora,
    /// openSUSE and SLES.
    Suse,
    /// NixOS.
    Nix,
    /// Another.
    Other,
}

impl PackageFamily {
    /// That of a system.
    pub fn of(system: &SystemRoot) -> Self {
        if system.find("/etc/armbian-release").is_some() {
            return Self::Armbian;
        }
        let text = system.text("/etc/os-release").or_else(|| system.text("/usr/lib/os-release"));
        Self::named(&text.unwrap_or_default())
    }

    /// That which os-release(5) names: `ID`, else the first of `ID_LIKE` that is known.
    pub(crate) fn named(os_release: &str) -> Self {
        let value = |name: &str| {
            let mut lines = os_release.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        let words = [value("ID"), value("ID_LIKE")].join(" ").replace(['"', '\''], "");
        let known = words.split_whitespace().find_map(|word| match word {
            "debian" => Some(Self::Debian),
            "ubuntu" => Some(Self::Ubuntu),
            "arch" => Some(Self::Arch),
            "fedora" | "rhel" | "centos" => Some(Self::Fedora),
            "suse" | "opensuse" | "sles" => Some(Self::Suse),
            "nixos" => Some(Self::Nix),
            _ => None,
        });
        known.unwrap_or(Self::Other)
    }

    /// What brings a kernel's headers.
    pub fn headers(self, system: &SystemRoot, kernel: &InstalledKernel) -> String {
        let release = kernel.release.as_str();
        match self {
            Self::Debian | Self::Ubuntu => format!("apt-get install linux-headers-{release}"),
            Self::Armbian => format!("apt-get install linux-headers-{}", after_version(release)),
            Self::Arch => format!("pacman -S {}-headers", package_base(system, kernel)),
            Self::Fedora => match release.split_once('+') {
                // A kernel of another flavour, such as `+debug` or `+rt`.
                Some((release, flavour)) => format!("dnf install kernel-{flavour}-devel-{release}"),
                None => format!("dnf install kernel-devel-{release}"),
            },
            Self::Suse => format!("zypper install kernel-{}-devel", flavour(release)),
            Self::Nix => "take the kernel's own output for this: nix-build '<nixpkgs/nixos>' -A \
                          config.boot.kernelPackages.kernel.dev"
                .to_owned(),
            Self::Other => format!("install what your distribution has of {release} to build modules with"),
        }
    }

    /// What brings a kernel itself.
    pub fn image(self, system: &SystemRoot, kernel: &InstalledKernel) -> String {
        let release = kernel.release.as_str();
        match self {
            Self::Debian | Self::Ubuntu => format!("apt-get install linux-image-{release}"),
            Self::Armbian => format!("apt-get install linux-image-{}", after_version(release)),
            Self::Arch => format!("pacman -S {}", package_base(system, kernel)),
            Self::Fedora => format!("dnf install kernel-core-{release}"),
            Self::Suse => format!("zypper install kernel-{}", flavour(release)),
            Self::Nix | Self::Other => format!("install kernel {release}"),
        }
    }

    /// What brings the Rust artefacts that belong to a kernel's headers. `link` is what a link of
    /// the headers' says, that leads to where they would be.
    pub fn artefacts(self, system: &SystemRoot, kernel: &InstalledKernel, link: Option<&Utf8Path>) -> String {
        let release = kernel.release.as_str();
        let package = link.and_then(|link| link.iter().find(|part| part.starts_with("linux-lib")));
        match (self, package) {
            (Self::Debian | Self::Ubuntu, Some(package)) => format!("apt-get install {package}"),
            (Self::Ubuntu, None) => format!("apt-get install linux-lib-rust-{release}"),
            (Self::Debian, None) => format!("cargo kmod kernel prepare {release}"),
            // Where they are a part of the headers, these are not whole.
            (Self::Arch | Self::Armbian, _) => self.headers(system, kernel),
            _ => format!("cargo kmod kernel prepare --source DIR --config-of {release}"),
        }
    }

    /// What brings a program, such as a compiler.
    pub fn program(self, name: &str) -> String {
        // Commands of cross compilers and of clang are not packages of the same name.
        let of = |known: &Architecture| name.strip_prefix(known.triplet())?.strip_prefix('-');
        let package = Architecture::ALL.iter().find_map(of).unwrap_or(name);
        match self {
            Self::Debian | Self::Ubuntu | Self::Armbian => format!("apt-get install {package}"),
            Self::Arch => format!("pacman -S {}", if package == "rustc" { "rust" } else { package }),
            Self::Fedora => format!("dnf install {}", if package == "rustc" { "rust" } else { package }),
            Self::Suse => format!("zypper install {}", if package == "rustc" { "rust" } else { package }),
            Self::Nix => format!("nix-shell -p {package}"),
            Self::Other => format!("install {name}"),
        }
    }
}

/// `current-rockchip64` of `6.12.9-current-rockchip64`: what Armbian's packages are named after.
fn after_version(release: &str) -> &str {
    release.split_once('-').map_or(release, |(_, rest)| rest)
}

/// `default` of `6.17.1-1-default`.
fn flavour(release: &str) -> &str {
    release.rsplit('-').next().filter(|word| word.starts_with(char::is_alphabetic)).unwrap_or("default")
}

/// The package that a kernel of Arch is of, which its directory of modules says.
fn package_base(system: &SystemRoot, kernel: &InstalledKernel) -> String {
    let said = kernel.modules.as_ref().and_then(|dir| system.text(dir.join("pkgbase")));
    said.map_or_else(|| "linux".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_os_release() {
        for (text, family) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", PackageFamily::Debian),
            ("ID=ubuntu\nID_LIKE=debian\n", PackageFamily::Ubuntu),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", PackageFamily::Ubuntu),
            ("ID=raspbian\nID_LIKE=debian\n", PackageFamily::Debian),
            ("ID=cachyos\nID_LIKE=arch\n", PackageFamily::Arch),
            ("ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n", PackageFamily::Fedora),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", PackageFamily::Suse),
            ("ID=nixos\n", PackageFamily::Nix),
            ("VERSION_ID=1\n", PackageFamily::Other),
        ] {
            assert_eq!(PackageFamily::named(text), family, "{text}");
        }
    }
}
