// SPDX-License-Identifier: GPL-2.0
//! The families of RPMs, and what differs between them.

use crate::distribution::rpm_family::names::{OF_FEDORA, OF_SUSE, PackageNames};
use crate::distribution::rpm_family::repositories::RepositoryTool;
use crate::machine::programs::{Program, program};

/// A family of distributions that install RPMs.
#[derive(Debug)]
pub struct RpmFamily {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// What reads the repositories, and makes roots.
    pub(super) tool: RepositoryTool,
    /// The flavour that is built for by default.
    pub(super) flavour: &'static str,
    pub(super) programs: &'static [Program],
    pub(super) names: &'static PackageNames,
    pub(super) secure: SecureBootNames,
}

/// Where the packages of a family put what starts a machine with Secure Boot.
#[derive(Debug)]
pub(super) struct SecureBootNames {
    pub(super) packages: &'static [&'static str],
    pub(super) code: &'static str,
    pub(super) variables: &'static str,
    pub(super) signed: &'static [(&'static str, &'static str)],
    pub(super) grub_cfg: &'static str,
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
