// SPDX-License-Identifier: GPL-2.0
//! Whose packages a system is made of, by what it says of itself.

use crate::installed::system::SystemRoot;

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
        Self::named(&os_release(system))
    }

    /// That which os-release(5) names: `ID`, else the first of `ID_LIKE` that is known.
    pub(crate) fn named(os_release: &str) -> Self {
        let known = names(os_release).into_iter().find_map(|word| match word.as_str() {
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
}

/// What os-release(5) says in a system; nothing where there is none.
pub(crate) fn os_release(system: &SystemRoot) -> String {
    let text = system.text("/etc/os-release").or_else(|| system.text("/usr/lib/os-release"));
    text.unwrap_or_default()
}

/// Whether it is RHEL or one of its rebuilds, which have fewer packages than Fedora has.
pub(crate) fn is_enterprise(os_release: &str) -> bool {
    let names = names(os_release);
    names.first().is_some_and(|id| id != "fedora")
        && names.iter().any(|name| name == "rhel" || name == "centos")
}

/// `ID`, and then `ID_LIKE`, the nearest first.
fn names(os_release: &str) -> Vec<String> {
    let value = |name: &str| {
        let mut lines = os_release.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let words = [value("ID"), value("ID_LIKE")].join(" ").replace(['"', '\''], "");
    words.split_whitespace().map(str::to_owned).collect()
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

    #[test]
    fn rhel_and_its_rebuilds_are_told_from_fedora() {
        for (text, enterprise) in [
            ("ID=fedora\n", false),
            ("ID=nobara\nID_LIKE=fedora\n", false),
            ("ID=\"rhel\"\nID_LIKE=\"fedora\"\n", true),
            ("ID=\"centos\"\nID_LIKE=\"rhel fedora\"\n", true),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", true),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", false),
            ("", false),
        ] {
            assert_eq!(is_enterprise(text), enterprise, "{text}");
        }
    }
}
