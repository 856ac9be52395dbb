// SPDX-License-Identifier: GPL-2.0
//! DKMS: a project registered, built, installed and taken away by the real dkms(8), and what came of it looked at.

mod bring;
pub mod bundle;
pub mod check;
pub mod command;
pub mod fault;
pub mod place;
pub mod source;
pub mod status;
pub mod target;

use std::fmt;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use check::{Check, Found};
use command::rows;
use kernel::context::Context;
use kernel::machine::programs::{self, Program, program};
use kernel::machine::user;
use kmodfile::release::Release;
use place::Place;
use project::Project;
use project::key;
use report::failure::Failure;
use status::State;

/// dkms; its package brings what it compiles with, and kmod.
pub const PROGRAMS: &[Program] =
    &[program("dkms", "dkms", "registers modules and builds them for each kernel")];

/// What DKMS calls a module: `NAME/VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`.
    pub version: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// How far a project is to be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// Its source is registered.
    Added,
    /// Its modules are built.
    Built,
    /// Its modules are where modprobe(8) finds them.
    Installed,
}

/// A file that carries a module's source to other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// An RPM whose scriptlets register, build and install it.
    Rpm,
    /// What `dkms ldtarball` reads.
    Tarball,
}

/// What was done for a kernel.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The package.
    #[serde(flatten)]
    pub package: Package,
    /// The kernel.
    pub kernel: Release,
    /// How far DKMS says that it is; none where it knows nothing of it.
    pub state: Option<State>,
    /// Why the kernel was left out.
    pub skipped: Option<String>,
    /// The package's modules, where it has them, and otherwise the kernel's own.
    pub modules: Vec<Found>,
}

/// One project in one place.
#[derive(Clone, Debug)]
pub struct Dkms<'a> {
    context: &'a Context,
    place: &'a Place,
    project: &'a Project,
    /// Whether a newer module of the kernel's own may be replaced (dkms(8), `--force`).
    force: bool,
    /// What this dkms must be told so that it leaves the kernel's directory as it is.
    spare: &'static [&'static str],
}

impl<'a> Dkms<'a> {
    /// The project, with dkms at hand; it is installed where it is not. Only root may.
    pub fn open(context: &'a Context, place: &'a Place, project: &'a Project, force: bool) -> Result<Self> {
        programs::ensure(context, &[PROGRAMS, key::PROGRAMS])?;
        if !user::is_root() && !context.dry_run {
            return Err(Failure::missing("dkms", "only root may register and install modules")
                .remedy("run the same as root")
                .into());
        }
        Ok(Self { context, place, project, force, spare: command::sparing(context)? })
    }

    /// Takes the modules out of the kernel's way again; they stay built.
    pub fn uninstall(&self, release: &Release, repair: bool) -> Result<Outcome> {
        let package = source::package_of(self.project, release);
        let _lock = self.lock()?;
        self.settle(&package, repair)?;
        if self.state(&package, Some(release))? < Some(State::Installed) {
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

    /// Removes every version of the project that DKMS knows, with its source. Gives what was removed.
    pub fn remove(&self, repair: bool) -> Result<Vec<Package>> {
        let _lock = self.lock()?;
        let packages = self.known()?;
        for package in &packages {
            self.settle(package, repair)?;
            self.remove_package(package)?;
        }
        if packages.is_empty() {
            self.context.report.note("Fresh", &format!("DKMS knows no {}", self.project.name));
        }
        Ok(packages)
    }

    /// Registers the project and packs it. `release` tells which source of a project that imports the kernel's; what is
    /// built for it goes into a tar file too.
    pub fn bundle(&self, release: &Release, bundle: Bundle, repair: bool) -> Result<Utf8PathBuf> {
        let package = source::package_of(self.project, release);
        let _lock = self.lock()?;
        self.settle(&package, repair)?;
        let source = self.add(&package, release)?;
        if bundle == Bundle::Rpm {
            return bundle::rpm(self.context, self.place, &source);
        }
        let cmd = self.dkms("mktarball", &package);
        let built = self.place.built(&package, release).join("module").exists();
        let cmd = if built { cmd.args(["-k", release.as_str()]) } else { cmd.arg("--source-only") };
        bundle::tarball(self.context, self.place, &package, cmd)
    }

    fn remove_package(&self, package: &Package) -> Result<()> {
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

    /// The versions of the project that DKMS knows, also half-done ones.
    fn known(&self) -> Result<Vec<Package>> {
        let dir = self.place.tree().join(&self.project.name);
        let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        let versions = entries.map(|entry| entry.file_name().to_owned());
        let ours = versions.filter(|version| source::is_version_of(self.project, version));
        let mut all: Vec<_> =
            ours.map(|version| Package { name: self.project.name.clone(), version }).collect();
        all.sort();
        Ok(all)
    }

    /// Refuses, or repairs, what a stopped dkms left.
    fn settle(&self, package: &Package, repair: bool) -> Result<()> {
        if repair {
            fault::repair(self.context, self.place, package)?;
            return Ok(());
        }
        fault::refuse(self.place, package)
    }

    /// What is known of a kernel now.
    fn outcome(&self, package: &Package, release: &Release) -> Result<Outcome> {
        let state = self.state(package, Some(release))?;
        let check = self.check(package, release);
        let modules = match state {
            Some(State::Installed) => check.installed()?,
            Some(State::Built) => check.built()?,
            _ => Vec::new(),
        };
        Ok(Outcome { package: package.clone(), kernel: release.clone(), state, skipped: None, modules })
    }

    /// What DKMS says: for a kernel or, without one, at all. A package that is only added is that for every kernel.
    fn state(&self, package: &Package, release: Option<&Release>) -> Result<Option<State>> {
        Ok(State::for_kernel(&rows(self.context, self.place, Some(package))?, release))
    }

    fn check<'b>(&'b self, package: &'b Package, release: &'b Release) -> Check<'b> {
        Check { context: self.context, place: self.place, project: self.project, package, release }
    }

    fn lock(&self) -> Result<report::cache::Lock> {
        self.context.cache.lock(&format!("dkms {}", self.place.tree()), &self.context.report)
    }
}
