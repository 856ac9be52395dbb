// SPDX-License-Identifier: GPL-2.0
//! The families of RPMs as [`Distribution`]s.

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::SuppliedArtefacts;
use crate::context::Context;
use crate::distribution::archive::{Age, Archive};
use crate::distribution::interface::{BootChain, Distribution};
use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::archive::{FETCHED, RpmArchive};
use crate::distribution::rpm_family::host::{self, HostSystem};
use crate::distribution::rpm_family::recipe::{OF_FEDORA, OF_SUSE, PackageNames};
use crate::distribution::rpm_family::repositories::RepositoryTool;
use crate::distribution::rpm_family::{bootstrap, kernels};
use crate::machine::programs::{Program, program};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::{Report, Step};

/// A family of distributions that install RPMs.
#[derive(Debug)]
pub struct RpmFamily {
    pub(super) id: &'static str,
    name: &'static str,
    /// What reads the repositories, and makes roots.
    pub(super) tool: RepositoryTool,
    /// The flavour that is built for by default.
    flavour: &'static str,
    programs: &'static [Program],
    pub(super) names: &'static PackageNames,
    secure: SecureBootNames,
}

/// Where the packages of a family put what starts a machine with Secure Boot.
#[derive(Debug)]
struct SecureBootNames {
    packages: &'static [&'static str],
    code: &'static str,
    variables: &'static str,
    signed: &'static [(&'static str, &'static str)],
    grub_cfg: &'static str,
}

/// What unpacks packages and sources, and enters roots, besides the program of the repositories.
macro_rules! with_unpackers {
    ($first:expr) => {
        &[
            $first,
            program("rpm2cpio", "rpm2cpio", "unpacks kernel packages").in_rpms("rpm", "rpm"),
            program("rpmkeys", "rpm", "verifies packages").in_rpms("rpm", "rpm"),
            program("cpio", "cpio", "unpacks kernel packages").in_rpms("cpio", "cpio"),
            program("patch", "patch", "patches kernel sources").in_rpms("patch", "patch"),
            program("setpriv", "util-linux", "ends what a stopped run started")
                .in_rpms("util-linux", "util-linux"),
            program("tar", "tar", "unpacks sources").in_rpms("tar", "tar"),
            program("unshare", "util-linux", "enters build roots").in_rpms("util-linux", "util-linux"),
            program("xz", "xz-utils", "unpacks kernel sources").in_rpms("xz", "xz"),
        ]
    };
}

const DNF_PROGRAMS: &[Program] = with_unpackers!(
    program("dnf", "dnf", "reads the repositories, and makes build roots").in_rpms("dnf", "dnf")
);

const ZYPPER_PROGRAMS: &[Program] = with_unpackers!(
    program("zypper", "zypper", "reads the repositories, and makes build roots").in_rpms("zypper", "zypper")
);

/// Fedora, RHEL, CentOS Stream, AlmaLinux, Rocky Linux and what else is made of them.
pub static FEDORA: RpmFamily = RpmFamily {
    id: "fedora",
    name: "Fedora, RHEL and its rebuilds",
    tool: RepositoryTool::Dnf,
    flavour: "",
    programs: DNF_PROGRAMS,
    names: &OF_FEDORA,
    secure: SecureBootNames {
        packages: &["edk2-ovmf", "grub2-efi-x64", "python3-virt-firmware", "shim-x64"],
        code: "usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        variables: "usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
        signed: &[
            ("boot/efi/EFI/fedora/shimx64.efi", "EFI/BOOT/BOOTX64.EFI"),
            ("boot/efi/EFI/fedora/mmx64.efi", "EFI/BOOT/mmx64.efi"),
            ("boot/efi/EFI/fedora/grubx64.efi", "EFI/BOOT/grubx64.efi"),
        ],
        grub_cfg: "EFI/fedora/grub.cfg",
    },
};

/// openSUSE and SLES.
pub static SUSE: RpmFamily = RpmFamily {
    id: "suse",
    name: "openSUSE and SLES",
    tool: RepositoryTool::Zypper,
    flavour: "default",
    programs: ZYPPER_PROGRAMS,
    names: &OF_SUSE,
    secure: SecureBootNames {
        packages: &["grub2-x86_64-efi", "python3-virt-firmware", "qemu-ovmf-x86_64", "shim"],
        code: "usr/share/qemu/ovmf-x86_64-ms-4m-code.bin",
        variables: "usr/share/qemu/ovmf-x86_64-ms-4m-vars.bin",
        signed: &[
            ("usr/share/efi/x86_64/shim.efi", "EFI/BOOT/BOOTX64.EFI"),
            ("usr/share/efi/x86_64/MokManager.efi", "EFI/BOOT/MokManager.efi"),
            ("usr/share/efi/x86_64/grub.efi", "EFI/BOOT/grub.efi"),
        ],
        grub_cfg: "EFI/BOOT/grub.cfg",
    },
};

impl Distribution for RpmFamily {
    fn id(&self) -> &'static str {
        self.id
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn default_flavour(&self, _: Architecture) -> &'static str {
        self.flavour
    }

    fn programs(&self) -> &'static [Program] {
        self.programs
    }

    fn archive_for<'a>(
        &self,
        context: &'a Context,
        age: Age,
        architecture: Architecture,
    ) -> Result<Box<dyn Archive + 'a>> {
        if age != Age::Current {
            let reason = "only the repositories that are enabled are looked at";
            return Err(Failure::missing(self.name, reason)
                .remedy("enable the repository that has the kernel, and name no release")
                .into());
        }
        let family = if self.id == FEDORA.id { &FEDORA } else { &SUSE };
        Ok(Box::new(RpmArchive::open(context, family, architecture)?))
    }

    fn architecture_of(&self, release: &Release) -> Option<Architecture> {
        kernels::architecture_of(release)
    }

    fn offered_artefacts(&self, _: &Release, _: &Report) -> Result<Option<SuppliedArtefacts>> {
        // No repository has packages of them.
        Ok(None)
    }

    fn is_package_name(&self, text: &str) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._()".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
    }

    fn host_serves(&self, recipe: &Recipe, report: &Report) -> Result<Result<(), Failure>> {
        host::serves(recipe, self.tool, report)
    }

    fn make_tree(&self, context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()> {
        bootstrap::make_tree(context, recipe, self.tool, place, step)
    }

    fn boot_chain(&self) -> BootChain {
        let names = &self.secure;
        BootChain {
            architecture: Architecture::Amd64,
            recipe: self.recipe_of(names.packages),
            code: names.code,
            variables: names.variables,
            signed: names.signed,
            grub_cfg: names.grub_cfg,
        }
    }

    fn file_daemon(&self) -> Recipe {
        self.recipe_of(&[self.names.virtiofsd])
    }

    fn rpmbuild(&self) -> &'static [&'static str] {
        self.names.rpmbuild
    }

    fn fetched(&self) -> &'static [&'static str] {
        FETCHED
    }
}

impl RpmFamily {
    /// A root of this machine's own suite with these packages.
    fn recipe_of(&self, packages: &[&str]) -> Recipe {
        let packages = packages.iter().map(|name| (*name).to_owned());
        Recipe::new(self.id, &HostSystem::here().suite, packages)
    }

    /// Whether this machine has what reads its repositories.
    pub fn is_here(&self) -> bool {
        self.tool.is_here()
    }
}
