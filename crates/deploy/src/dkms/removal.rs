// SPDX-License-Identifier: GPL-2.0
//! Uninstalls modules, and removes everything that DKMS knows about a project.

use anyhow::Result;

use crate::dkms::fault;
use crate::dkms::package::DkmsPackage;
use crate::dkms::session::{Dkms, DkmsOutcome};
use crate::dkms::source;
use crate::dkms::status::DkmsState;
use kmodfile::release::Release;

impl Dkms<'_> {
    /// Uninstalls the modules; they stay built.
    pub fn uninstall(&self, release: &Release, repair: bool) -> Result<DkmsOutcome> {
        let package = source::package_of(self.project, release);
        let _lock = self.lock()?;
        self.settle(&package, repair)?;
        if self.state(&package, Some(release))? < Some(DkmsState::Installed) {
            self.context.report.note("Fresh", &format!("{package} is not installed for {release}"));
            return self.outcome(&package, release);
        }
        let cmd = self.dkms("uninstall", &package).args(["-k", release.as_str()]);
        self.run("Uninstalling", "Uninstalled", &format!("{package} from {release}"), &cmd, &package)?;
        self.depmod_in_root(release)?;
        if !self.context.dry_run {
            self.check(&package, release).uninstalled()?;
        }
        self.outcome(&package, release)
    }

    /// Removes every version of the project that DKMS knows, with its source. Returns what was
    /// removed.
    pub fn remove(&self, repair: bool) -> Result<Vec<DkmsPackage>> {
        let _lock = self.lock()?;
        let packages = self.known()?;
        for package in &packages {
            self.settle(package, repair)?;
            self.remove_package(package)?;
        }
        if packages.is_empty() {
            self.context.report.note("Fresh", &format!("DKMS does not know {}", self.project.name));
        }
        Ok(packages)
    }

    fn remove_package(&self, package: &DkmsPackage) -> Result<()> {
        let kernels = fault::kernels(self.place, package);
        let cmd = self.dkms("remove", package).arg("--all");
        self.run("Removing", "Removed", &package.to_string(), &cmd, package)?;
        if self.context.dry_run {
            return Ok(());
        }
        for release in &kernels {
            self.depmod_in_root(release)?;
            self.check(package, release).uninstalled()?;
        }
        source::remove(&self.place.source_of(package))
    }

    /// The versions of the project that DKMS knows, incomplete ones included.
    fn known(&self) -> Result<Vec<DkmsPackage>> {
        let dir = self.place.tree().join(&self.project.name);
        let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let versions = entries.map(|entry| entry.file_name().to_owned());
        let ours = versions.filter(|version| source::is_version_of(self.project, version));
        let mut all: Vec<_> =
            ours.map(|version| DkmsPackage { name: self.project.name.clone(), version }).collect();
        all.sort();
        Ok(all)
    }
}
