// SPDX-License-Identifier: GPL-2.0
//! Debian as a [`Distribution`].

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::SuppliedArtefacts;
use crate::context::Context;
use crate::distribution::archive::{Age, Archive};
use crate::distribution::debian::archive::{DebianArchive, FETCHED};
use crate::distribution::debian::bootstrap;
use crate::distribution::debian::host;
use crate::distribution::debian::index;
use crate::distribution::debian::offered;
use crate::distribution::debian::recipe;
use crate::distribution::interface::{BootChain, Distribution};
use crate::distribution::recipe::Recipe;
use crate::machine::programs::{Program, program};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::{Report, Step};

/// Debian.
#[derive(Clone, Copy, Debug)]
pub struct Debian;

/// Programs needed to read its archive and to make build roots.
const PROGRAMS: &[Program] = &[
    program("apt-get", "apt", "reads the archive"),
    program("apt-helper", "apt", "fetches packages"),
    program("dpkg-deb", "dpkg", "unpacks kernel packages"),
    program("mmdebstrap", "mmdebstrap", "makes build roots").in_rpms("mmdebstrap", "/usr/bin/mmdebstrap"),
    program("newuidmap", "uidmap", "build roots without being root").in_rpms("shadow-utils", "shadow"),
    program("setpriv", "util-linux", "ends what a stopped run started").in_rpms("util-linux", "util-linux"),
    program("tar", "tar", "unpacks sources").in_rpms("tar", "tar"),
    program("unshare", "util-linux", "enters build roots").in_rpms("util-linux", "util-linux"),
    program("xz", "xz-utils", "unpacks kernel sources").in_rpms("xz", "xz"),
];

/// The released suite: its signed programs start the kernels of every suite, while a suite under
/// development sometimes has a shim or GRUB that is not signed yet.
const SIGNED_SUITE: &str = "stable";

/// Firmware, shim, GRUB, and the program that writes the firmware's variables.
const SIGNED_PACKAGES: &[&str] = &["grub-efi-amd64-signed", "ovmf", "python3-virt-firmware", "shim-signed"];

const SIGNED: &[(&str, &str)] = &[
    ("usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
    ("usr/lib/shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "EFI/BOOT/grubx64.efi"),
];

impl Distribution for Debian {
    fn id(&self) -> &'static str {
        recipe::ID
    }

    fn name(&self) -> &'static str {
        "Debian"
    }

    fn default_flavour(&self, architecture: Architecture) -> &'static str {
        match architecture {
            Architecture::Amd64 => "cloud-amd64",
            Architecture::Arm64 => "cloud-arm64",
        }
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn archive_for<'a>(
        &self,
        context: &'a Context,
        age: Age,
        architecture: Architecture,
    ) -> Result<Box<dyn Archive + 'a>> {
        Ok(Box::new(DebianArchive::open_for(context, age, architecture)?))
    }

    fn architecture_of(&self, release: &Release) -> Option<Architecture> {
        // `amd64`, `rt-amd64`, `arm64-16k`.
        release
            .flavour()
            .split('-')
            .find_map(|part| Architecture::ALL.into_iter().find(|known| known.debian() == part))
    }

    fn offered_artefacts(&self, release: &Release, report: &Report) -> Result<Option<SuppliedArtefacts>> {
        offered::offered(release, report)
    }

    fn is_package_name(&self, text: &str) -> bool {
        index::is_name(text)
    }

    fn host_serves(&self, recipe: &Recipe, report: &Report) -> Result<Result<(), Failure>> {
        host::serves(recipe, report)
    }

    fn make_tree(&self, context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()> {
        bootstrap::make_tree(context, recipe, place, step)
    }

    fn boot_chain(&self) -> BootChain {
        let packages = SIGNED_PACKAGES.iter().map(|name| (*name).to_owned()).collect();
        BootChain {
            architecture: Architecture::Amd64,
            recipe: recipe::recipe(SIGNED_SUITE, packages),
            code: "usr/share/OVMF/OVMF_CODE_4M.ms.fd",
            variables: "usr/share/OVMF/OVMF_VARS_4M.ms.fd",
            signed: SIGNED,
            grub_cfg: "EFI/debian/grub.cfg",
        }
    }

    fn file_daemon(&self) -> Recipe {
        recipe::recipe(SIGNED_SUITE, vec!["virtiofsd".to_owned()])
    }

    fn rpmbuild(&self) -> &'static [&'static str] {
        &["debugedit", "elfutils", "file", "rpm"]
    }

    fn fetched(&self) -> &'static [&'static str] {
        FETCHED
    }
}
