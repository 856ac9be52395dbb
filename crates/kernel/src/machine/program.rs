// SPDX-License-Identifier: GPL-2.0
//! A program of another project's, what it is called where, and what brings it.

use crate::machine::package_tool::PackageTool;

/// A program the tool may need, the packages that have it, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in `PATH`.
    pub name: &'static str,
    /// The Debian package that has it (Debian 12 and 13).
    pub package: &'static str,
    /// What the tool needs it for.
    pub purpose: &'static str,
    rpms: Option<RpmNames>,
}

/// The packages of a program where packages are RPMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RpmNames {
    fedora: &'static str,
    suse: &'static str,
    /// RHEL's own, where that is another than Fedora's.
    rhel: Option<&'static str>,
    /// Whether RHEL has it from EPEL alone.
    epel: bool,
}

/// One program.
pub const fn program(name: &'static str, package: &'static str, purpose: &'static str) -> Program {
    Program { name, package, purpose, rpms: None }
}

impl Program {
    /// The same, with the packages that have it in Fedora and in openSUSE. Without them it is asked
    /// for by its path, which dnf and zypper find packages by, too.
    #[must_use]
    pub const fn in_rpms(self, fedora: &'static str, suse: &'static str) -> Self {
        Self { rpms: Some(RpmNames { fedora, suse, rhel: None, epel: false }), ..self }
    }

    /// The same, in a package of RHEL's that is not Fedora's.
    #[must_use]
    pub const fn in_rhel(self, package: &'static str) -> Self {
        let Some(rpms) = self.rpms else { return self };
        Self { rpms: Some(RpmNames { rhel: Some(package), ..rpms }), ..self }
    }

    /// The same, in no repository of RHEL's and its rebuilds' but EPEL.
    #[must_use]
    pub const fn in_epel(self) -> Self {
        let Some(rpms) = self.rpms else { return self };
        Self { rpms: Some(RpmNames { epel: true, ..rpms }), ..self }
    }

    /// What `tool` is to be given to install it.
    pub fn package_for(&self, tool: PackageTool) -> String {
        let path = || format!("/usr/bin/{}", self.name);
        let of = |choose: fn(RpmNames) -> &'static str| {
            self.rpms.map_or_else(path, |rpms| choose(rpms).to_owned())
        };
        match tool {
            PackageTool::Apt => self.package.to_owned(),
            PackageTool::Dnf { enterprise: true } => of(|rpms| rpms.rhel.unwrap_or(rpms.fedora)),
            PackageTool::Dnf { enterprise: false } => of(|rpms| rpms.fedora),
            PackageTool::Zypper => of(|rpms| rpms.suse),
        }
    }

    fn is_from_epel(&self, tool: PackageTool) -> bool {
        tool == PackageTool::Dnf { enterprise: true } && self.rpms.is_some_and(|rpms| rpms.epel)
    }
}

pub(super) fn described(program: &Program, tool: Option<PackageTool>) -> String {
    let Program { name, purpose, .. } = program;
    let Some(tool) = tool else { return format!("{name}: {purpose}") };
    let origin = if program.is_from_epel(tool) { " of EPEL" } else { "" };
    format!("{name} (package {}{origin}): {purpose}", program.package_for(tool))
}

/// What a user does to get `programs`: the command, where this machine has a tool for it.
pub fn supply(programs: &[&Program]) -> String {
    let Some(tool) = PackageTool::here() else {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        return format!("install the packages that your distribution has for {}", names.join(", "));
    };
    supply_with(tool, programs)
}

fn supply_with(tool: PackageTool, programs: &[&Program]) -> String {
    let line = tool.line(&packages(programs, tool));
    if programs.iter().any(|program| program.is_from_epel(tool)) {
        return format!("{} && {line}", tool.epel_line());
    }
    line
}

/// What has a program of which no more is known than its name; `None` where packages are not found
/// by what is in them.
pub fn supply_of_file(name: &str) -> Option<String> {
    let tool = PackageTool::here().filter(|tool| tool.is_of_rpms())?;
    (!name.contains('/')).then(|| tool.line(&[format!("/usr/bin/{name}")]))
}

pub(super) fn packages(programs: &[&Program], tool: PackageTool) -> Vec<String> {
    let mut packages: Vec<String> = programs.iter().map(|program| program.package_for(tool)).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_in_the_package_that_each_distribution_has_it_in() {
        let (fedora, rhel) = (PackageTool::Dnf { enterprise: false }, PackageTool::Dnf { enterprise: true });
        let qemu =
            program("qemu", "qemu-system-x86", "").in_rpms("qemu-core", "qemu-x86").in_rhel("qemu-kvm");
        let dkms = program("dkms", "dkms", "").in_rpms("dkms", "dkms").in_epel();
        let unknown = program("foo", "foo-bin", "");
        for (program, tool, package) in [
            (qemu, PackageTool::Apt, "qemu-system-x86"),
            (qemu, fedora, "qemu-core"),
            (qemu, rhel, "qemu-kvm"),
            (qemu, PackageTool::Zypper, "qemu-x86"),
            (dkms, rhel, "dkms"),
            (unknown, PackageTool::Apt, "foo-bin"),
            (unknown, fedora, "/usr/bin/foo"),
            (unknown, PackageTool::Zypper, "/usr/bin/foo"),
        ] {
            assert_eq!(program.package_for(tool), package);
        }
        let line = |tool| supply_with(tool, &[&dkms, &unknown]);
        assert!(line(rhel).contains("install epel-release && ") && !line(fedora).contains("epel"));
        assert!(line(rhel).ends_with(" /usr/bin/foo dkms"), "{}", line(rhel));
        assert_eq!(described(&dkms, Some(rhel)), "dkms (package dkms of EPEL): ");
        assert_eq!(described(&dkms, Some(fedora)), "dkms (package dkms): ");
    }
}
