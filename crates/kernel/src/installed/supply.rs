// SPDX-License-Identifier: GPL-2.0
//! What supplies what an installed kernel lacks, in the words of the system that it is installed
//! in.

use camino::Utf8Path;

use crate::installed::layout::InstalledKernel;
use crate::installed::package_family::PackageFamily;
use crate::installed::system::SystemRoot;
use kmodfile::architecture::Architecture;

impl PackageFamily {
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
