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
use crate::distribution::rpm_family::family::{FEDORA, RpmFamily, SUSE};
use crate::distribution::rpm_family::host::{self, HostSystem};
use crate::distribution::rpm_family::{bootstrap, kernels};
use crate::machine::programs::Program;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::{Report, Step};

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
