// SPDX-License-Identifier: GPL-2.0
//! What this machine's packages are installed with.

use anyhow::Result;
use camino::Utf8Path;

use crate::installed::package_family::{PackageFamily, is_enterprise, os_release};
use crate::installed::system::SystemRoot;
use crate::machine::apt;
use crate::machine::rpm_progress;
use crate::machine::search_path::find;
use crate::machine::user::is_root;
use report::process::Cmd;
use report::{Report, Step};

/// A program that installs packages, and so what they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageTool {
    /// apt-get(8): Debian, Ubuntu and what is made of them.
    Apt,
    /// dnf(8), which may be DNF 5: Fedora, RHEL and its rebuilds.
    Dnf {
        /// Whether it is one of the latter.
        enterprise: bool,
    },
    /// zypper(8): openSUSE and SLES.
    Zypper,
}

/// What DNF is called: Fedora's package of DNF 5 has had both names, and at first its own alone.
const DNF: &[&str] = &["dnf", "dnf5"];

/// What zypper's status may be where it has installed everything: it tells besides that something
/// is to be restarted, or that a package's own script failed (zypper(8), EXIT CODES). What came of
/// it is looked at afterwards.
const ZYPPER_DONE: &[i32] = &[0, 102, 103, 107];

impl PackageTool {
    /// That of this machine; `None` if it has none that is known here.
    pub fn here() -> Option<Self> {
        let system = SystemRoot::open(Utf8Path::new("/")).ok()?;
        let enterprise = is_enterprise(&os_release(&system));
        Self::of(PackageFamily::of(&system), enterprise, |name| find(name).is_some())
    }

    /// That of a machine: what its packages are made for, if it has that. Other tools, which any
    /// distribution may have, know none of its packages.
    fn of(family: PackageFamily, enterprise: bool, has: impl Fn(&str) -> bool) -> Option<Self> {
        let dnf = Self::Dnf { enterprise };
        let known: &[Self] = match family {
            PackageFamily::Debian | PackageFamily::Ubuntu | PackageFamily::Armbian => &[Self::Apt],
            PackageFamily::Fedora => &[dnf],
            PackageFamily::Suse => &[Self::Zypper, dnf],
            PackageFamily::Other => &[Self::Apt, dnf, Self::Zypper],
            PackageFamily::Arch | PackageFamily::Nix => &[],
        };
        known.iter().copied().find(|tool| tool.programs().iter().any(|name| has(name)))
    }

    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf { .. } => "dnf",
            Self::Zypper => "zypper",
        }
    }

    /// Whether its packages are RPMs.
    pub fn is_of_rpms(self) -> bool {
        self != Self::Apt
    }

    /// Its program, by all names that it has.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &["apt-get"],
            Self::Dnf { .. } => DNF,
            Self::Zypper => &["zypper"],
        }
    }

    fn program(self) -> &'static str {
        let programs = self.programs();
        programs.iter().find(|name| find(name).is_some()).unwrap_or(&programs[0])
    }

    /// The command with which a user installs `packages`, each named once.
    pub fn line(self, packages: &[String]) -> String {
        let mut packages = packages.to_vec();
        packages.sort_unstable();
        packages.dedup();
        let few = match self {
            Self::Apt => "--no-install-recommends",
            Self::Dnf { .. } => "--setopt=install_weak_deps=False",
            Self::Zypper => "--no-recommends",
        };
        format!("{}{} install {few} {}", sudo(), self.program(), packages.join(" "))
    }

    /// The command with which a user makes packages of EPEL known, where some are only there.
    pub(super) fn epel_line(self) -> String {
        format!("{}{} install epel-release", sudo(), self.program())
    }

    /// What a package of files to compile with is called, by its name on Debian.
    pub(super) fn development(self, debian: &str) -> String {
        match debian.strip_suffix("-dev").filter(|_| self.is_of_rpms()) {
            Some(library) => format!("{library}-devel"),
            None => debian.to_owned(),
        }
    }

    /// Those of `packages` that are not installed.
    ///
    /// # Errors
    ///
    /// What knows that cannot be run.
    pub(crate) fn missing(self, packages: Vec<String>, report: &Report) -> Result<Vec<String>> {
        if self.is_of_rpms() {
            let lacks = |name: &String| {
                let asks = Cmd::new("rpm").args(["--query", "--quiet", "--whatprovides", name]);
                Ok((!asks.finish(report)?.status.success()).then(|| name.clone()))
            };
            return packages.iter().filter_map(|name| lacks(name).transpose()).collect();
        }
        let format = "${Package} ${db:Status-Status}\n";
        let output = Cmd::new("dpkg-query").args(["-W", "-f", format]).args(&packages).finish(report)?.text();
        let installed = |name: &str| output.lines().any(|line| line == format!("{name} installed"));
        Ok(packages.into_iter().filter(|name| !installed(name)).collect())
    }

    /// Installs `packages` as root, directly or through sudo, and counts on `step` how far that is.
    ///
    /// # Errors
    ///
    /// It says that it has not.
    pub(super) fn install(self, packages: &[String], step: &Step<'_>, report: &Report) -> Result<()> {
        match self {
            Self::Apt => {
                apt_get(&["update"]).run(report)?;
                let install = apt_get(&["install", "--yes", "--no-install-recommends"]).args(packages);
                apt::run_counted(&install, step, report)?;
            }
            Self::Dnf { .. } => {
                let words = ["install", "--setopt=install_weak_deps=False", "-y"];
                let install = as_root(&["LC_ALL=C.UTF-8"], self.program()).args(words).args(packages);
                rpm_progress::run_counted(&install, &[0], step, report)?;
            }
            Self::Zypper => {
                // It waits so many seconds for another one.
                let install = as_root(&["LC_ALL=C.UTF-8", "ZYPP_LOCK_TIMEOUT=300"], self.program())
                    .args(["--non-interactive", "install", "--no-recommends"])
                    .args(packages);
                rpm_progress::run_counted(&install, ZYPPER_DONE, step, report)?;
            }
        }
        Ok(())
    }
}

fn apt_get(args: &[&str]) -> Cmd {
    let environment = ["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"];
    as_root(&environment, "apt-get").args(["-o", "DPkg::Lock::Timeout=300"]).args(args)
}

/// A program as root: directly, or through sudo, which hands no variables on.
fn as_root(environment: &[&str], program: &str) -> Cmd {
    let cmd = if is_root() { Cmd::new("env") } else { Cmd::new("sudo").arg("env") };
    cmd.args(environment).arg(program)
}

fn sudo() -> &'static str {
    if is_root() { "" } else { "sudo " }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_the_tool_that_its_packages_are_made_for() {
        let (dnf, enterprise) =
            (PackageTool::Dnf { enterprise: false }, PackageTool::Dnf { enterprise: true });
        for (os_release, has, tool) in [
            ("ID=debian", &["apt-get"][..], Some(PackageTool::Apt)),
            ("ID=debian", &["apt-get", "dnf", "zypper"], Some(PackageTool::Apt)),
            ("ID=debian", &["dnf"], None),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", &["apt-get"], Some(PackageTool::Apt)),
            ("ID=fedora", &["dnf"], Some(dnf)),
            ("ID=fedora", &["dnf5"], Some(dnf)),
            ("ID=fedora", &["apt-get", "dnf"], Some(dnf)),
            ("ID=fedora", &["apt-get"], None),
            ("ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"", &["dnf"], Some(enterprise)),
            ("ID=\"rhel\"\nID_LIKE=\"fedora\"", &["dnf"], Some(enterprise)),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"", &["zypper"], Some(PackageTool::Zypper)),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"",
                &["dnf", "zypper"],
                Some(PackageTool::Zypper),
            ),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"", &["dnf5"], Some(dnf)),
            ("ID=arch", &["apt-get", "dnf"], None),
            ("ID=mine", &["dnf"], Some(dnf)),
            ("", &[], None),
        ] {
            let found =
                PackageTool::of(PackageFamily::named(os_release), is_enterprise(os_release), |name| {
                    has.contains(&name)
                });
            assert_eq!(found, tool, "{os_release} {has:?}");
        }
    }

    #[test]
    fn packages_to_compile_with_are_named_as_each_distribution_does() {
        for (tool, name) in [
            (PackageTool::Apt, "libcap-ng-dev"),
            (PackageTool::Dnf { enterprise: false }, "libcap-ng-devel"),
            (PackageTool::Zypper, "libcap-ng-devel"),
        ] {
            assert_eq!(tool.development("libcap-ng-dev"), name);
            assert_eq!(tool.development("virtiofsd"), "virtiofsd");
        }
    }

    #[test]
    fn the_line_to_type_names_each_package_once() {
        let packages = ["xz", "rpm-build", "xz"].map(str::to_owned);
        for (tool, end) in [
            (PackageTool::Apt, "apt-get install --no-install-recommends rpm-build xz"),
            (PackageTool::Zypper, "zypper install --no-recommends rpm-build xz"),
        ] {
            assert!(tool.line(&packages).ends_with(end), "{}", tool.line(&packages));
        }
        let line = PackageTool::Dnf { enterprise: true }.line(&packages);
        assert!(line.contains("install --setopt=install_weak_deps=False rpm-build xz"), "{line}");
    }
}
