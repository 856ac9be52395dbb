// SPDX-License-Identifier: GPL-2.0
//! What differs from one distribution to another.

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::SuppliedArtefacts;
use crate::context::Context;
use crate::distribution::archive::{Age, Archive};
use crate::distribution::recipe::Recipe;
use crate::machine::programs::Program;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::{Report, Step};

/// A distribution of Linux.
pub trait Distribution: std::fmt::Debug + Sync {
    /// Its identifier in recipes and stamps: `debian`.
    fn id(&self) -> &'static str;

    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The flavour that is built for when no kernel is named: the smallest, and the quickest to
    /// boot.
    fn default_flavour(&self, architecture: Architecture) -> &'static str;

    /// Programs needed to read its archive and to make build roots.
    fn programs(&self) -> &'static [Program];

    /// Opens its archive of kernels for `architecture`. Without a network, old indexes are used,
    /// with a warning.
    fn archive_for<'a>(
        &self,
        context: &'a Context,
        age: Age,
        architecture: Architecture,
    ) -> Result<Box<dyn Archive + 'a>>;

    /// Opens its archive of kernels for this machine.
    fn archive<'a>(&self, context: &'a Context, age: Age) -> Result<Box<dyn Archive + 'a>> {
        self.archive_for(context, age, Architecture::native().unwrap_or_default())
    }

    /// What a kernel of this name is for, as far as its name tells.
    fn architecture_of(&self, release: &Release) -> Option<Architecture>;

    /// Opens its archive of kernels for what `release` is for; without one, or where its name does
    /// not tell, for this machine.
    fn archive_of<'a>(
        &self,
        context: &'a Context,
        age: Age,
        release: Option<&Release>,
    ) -> Result<Box<dyn Archive + 'a>> {
        let native = || Architecture::native().unwrap_or_default();
        let architecture = release.and_then(|release| self.architecture_of(release));
        self.archive_for(context, age, architecture.unwrap_or_else(native))
    }

    /// The Rust artefacts of `release` that a package in the host's own sources of packages holds,
    /// if there is one.
    fn offered_artefacts(&self, release: &Release, report: &Report) -> Result<Option<SuppliedArtefacts>>;

    /// Whether `text` can be the name of a package.
    fn is_package_name(&self, text: &str) -> bool;

    /// Whether the machine itself can serve as the root for `recipe`; if not, why.
    fn host_serves(&self, recipe: &Recipe, report: &Report) -> Result<Result<(), Failure>>;

    /// Makes the tree for `recipe` in `place/tree`, with everything that belongs to that below
    /// `place`.
    /// `step` shows how far that is.
    fn make_tree(&self, context: &Context, recipe: &Recipe, place: &Utf8Path, step: &Step<'_>) -> Result<()>;

    /// The signed programs that a machine with Secure Boot starts its kernels by.
    fn boot_chain(&self) -> BootChain;

    /// The root that has `/usr/libexec/virtiofsd`, which shows directories of the host to machines.
    fn file_daemon(&self) -> Recipe;

    /// Packages that a root needs for rpmbuild(8) besides what the kernel's modules need.
    fn rpmbuild(&self) -> &'static [&'static str];

    /// Directories of the cache that hold only fetched packages, which can be fetched again.
    fn fetched(&self) -> &'static [&'static str];
}

/// The chain of a machine with Secure Boot before the kernel: where its parts are in a root made
/// after `recipe`.
#[derive(Clone, Debug)]
pub struct BootChain {
    /// What machines it starts.
    pub architecture: Architecture,
    /// The root that holds firmware, shim and GRUB, and the program `virt-fw-vars`.
    pub recipe: Recipe,
    /// The firmware's code.
    pub code: &'static str,
    /// The firmware's variables with Microsoft's keys in `KEK` and `db`, and Secure Boot on.
    pub variables: &'static str,
    /// Each signed program, and where on the disk it is looked for: shim where firmware starts a
    /// removable disk, the others beside it.
    pub signed: &'static [(&'static str, &'static str)],
    /// Where the signed GRUB looks for its configuration.
    pub grub_cfg: &'static str,
}
