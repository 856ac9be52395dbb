// SPDX-License-Identifier: GPL-2.0
//! DKMS: a project registered, built, installed and taken away by the real dkms(8), and what came of it looked at.

pub mod check;
pub mod fault;
pub mod place;
pub mod source;
pub mod status;
pub mod target;

use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::kernel::release::Release;
use crate::key;
use crate::machine::programs::{self, Program, program};
use crate::process::{Cmd, Output};
use crate::project::Project;
use crate::root::host;
use check::{Check, Found};
use place::Place;
use source::{Difference, Source};
use status::{Row, State};
use target::Target;

/// dkms; its package brings what it compiles with, and kmod.
pub const PROGRAMS: &[Program] =
    &[program("dkms", "dkms", "registers modules and builds them for each kernel")];

/// Lines of `make.log` that an error repeats.
const LOG_LINES: usize = 25;

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
}

impl<'a> Dkms<'a> {
    /// The project, with dkms at hand; it is installed where it is not. Only root may.
    pub fn open(context: &'a Context, place: &'a Place, project: &'a Project, force: bool) -> Result<Self> {
        programs::ensure(context, &[PROGRAMS, key::PROGRAMS])?;
        if !programs::is_root() && !context.dry_run {
            return Err(Failure::missing("dkms", "only root may register and install modules")
                .remedy("run the same as root")
                .into());
        }
        Ok(Self { context, place, project, force })
    }

    /// Brings the project to `goal` for `release`; what is done already is not done again. What a stopped dkms left is
    /// refused or, with `repair`, set right first.
    pub fn bring(&self, release: &Release, goal: Goal, repair: bool) -> Result<Outcome> {
        let package = source::package_of(self.project, release);
        let _lock = self.lock()?;
        self.settle(&package, repair)?;
        if goal == Goal::Added {
            self.add(&package, release)?;
            return self.outcome(&package, release);
        }
        let target = Target::of(self.context, self.place, self.project, release)?;
        if let Some(reason) = self.project.excludes(release, &target.config) {
            self.context.report.note("Skipping", &format!("{release}: {reason}"));
            let skipped = Some(reason);
            return Ok(Outcome { skipped, ..self.outcome(&package, release)? });
        }
        self.add(&package, release)?;
        self.build(&package, &target)?;
        if goal == Goal::Installed {
            self.install(&package, &target)?;
        }
        let outcome = self.outcome(&package, release)?;
        check::require_signatures(self.context, &outcome.modules, &target.config)?;
        Ok(outcome)
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

    fn add(&self, package: &Package, release: &Release) -> Result<()> {
        let source = Source::of(self.context, self.project, release)?;
        let dir = self.place.source_of(package);
        let registered = self.state(package, None)?.is_some();
        match (source.differs_from(&dir)?, registered) {
            (None, true) => {
                self.context.report.note("Fresh", &format!("{package} is added, source unchanged"));
                return Ok(());
            }
            (Some(Difference::Changed(files)), _) => {
                return Err(changed(package, &dir, &files, registered).into());
            }
            (Some(Difference::Absent), _) if self.context.dry_run => {
                self.context.report.say(&format!("would write {dir} ({} files)", source.files().len()));
            }
            (Some(Difference::Absent), _) => source.write(&dir)?,
            (None, false) => {}
        }
        if registered {
            return Ok(());
        }
        self.run("Adding", "Added", &package.to_string(), &self.dkms("add", package), package)
    }

    fn build(&self, package: &Package, target: &Target) -> Result<()> {
        let what = format!("{package} for {}", target.release);
        if self.state(package, Some(&target.release))? >= Some(State::Built) {
            self.context.report.note("Fresh", &format!("{what} is built"));
        } else {
            let cmd = self.for_target(self.dkms("build", package), target);
            let cmd = cmd.arg("-j").arg(self.context.jobs.to_string());
            self.run("Building", "Built", &what, &cmd, package)?;
        }
        if !self.context.dry_run {
            self.check(package, &target.release).built()?;
        }
        Ok(())
    }

    fn install(&self, package: &Package, target: &Target) -> Result<()> {
        let what = format!("{package} for {}", target.release);
        if self.state(package, Some(&target.release))? >= Some(State::Installed) {
            self.context.report.note("Fresh", &format!("{what} is installed"));
        } else {
            let cmd = self.for_target(self.dkms("install", package), target);
            let cmd = if self.force { cmd.arg("--force") } else { cmd };
            self.run("Installing", "Installed", &what, &cmd, package)?;
            self.depmod_in_root(&target.release)?;
        }
        if !self.context.dry_run {
            self.check(package, &target.release).installed()?;
        }
        Ok(())
    }

    fn for_target(&self, cmd: Cmd, target: &Target) -> Cmd {
        let cmd = cmd.args(["-k", target.release.as_str()]);
        let Some(dir) = &target.kdir else { return cmd };
        // dkms looks for this beside the kernel's modules alone, and leaves modules unsigned where it is not; a path in
        // framework.conf comes first.
        cmd.arg("--kernelsourcedir").arg(dir).env("sign_file", dir.join("scripts/sign-file"))
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
        let rows = rows(self.context, self.place, Some(package))?;
        let of_release = |row: &&Row| match (&row.kernel, release) {
            (Some(kernel), Some(release)) => kernel == release.as_str(),
            _ => true,
        };
        Ok(rows.iter().filter(of_release).map(|row| row.state).max())
    }

    fn check<'b>(&'b self, package: &'b Package, release: &'b Release) -> Check<'b> {
        Check { context: self.context, place: self.place, project: self.project, package, release }
    }

    fn lock(&self) -> Result<crate::cache::Lock> {
        self.context.cache.lock(&format!("dkms {}", self.place.tree()), &self.context.report)
    }

    fn dkms(&self, action: &str, package: &Package) -> Cmd {
        dkms(self.context, self.place, action).args(["-m", &package.name, "-v", &package.version])
    }

    /// Runs dkms as one step; with `--dry-run` only shows it.
    fn run(&self, verb: &str, done: &str, what: &str, cmd: &Cmd, package: &Package) -> Result<()> {
        if self.context.dry_run {
            self.context.report.say(&format!("would run: {}", cmd.line()));
            return Ok(());
        }
        let step = self.context.report.step(verb, what);
        let output = cmd.finish(&self.context.report)?;
        if !output.status.success() {
            return Err(self.failure(cmd, &output, package));
        }
        step.done(done, what);
        Ok(())
    }

    /// Why dkms failed: the end of what the compiler said, where it got that far.
    fn failure(&self, cmd: &Cmd, output: &Output, package: &Package) -> anyhow::Error {
        let log = self.place.package(package).join("build/make.log");
        let Some(text) = fs_err::read_to_string(&log).ok().filter(|_| output.tail.contains("make.log"))
        else {
            return cmd.failure(output);
        };
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES)..].iter();
        let end: String = end.map(|line| format!("\n    | {line}")).collect();
        let reason = format!("{}; the end of {log}:{end}", complaint(&output.tail));
        Failure::new(Exit::Failed, package.to_string(), reason)
            .remedy("mend the project, then cargo xtask dkms-remove and the same command again")
            .into()
    }

    /// dkms runs depmod(8) for the machine alone, whatever `--installtree` says.
    fn depmod_in_root(&self, release: &Release) -> Result<()> {
        if self.place.root().is_none() || self.context.dry_run {
            return Ok(());
        }
        depmod(self.context, self.place, release)
    }
}

/// The first line of what dkms complains about.
fn complaint(tail: &str) -> &str {
    let line = tail.lines().find_map(|line| line.strip_prefix("Error! "));
    line.unwrap_or("dkms could not build it")
}

/// The rows of `dkms status`.
pub fn rows(context: &Context, place: &Place, package: Option<&Package>) -> Result<Vec<Row>> {
    let cmd = dkms(context, place, "status");
    let cmd = match package {
        Some(package) => cmd.args(["-m", &package.name, "-v", &package.version]),
        None => cmd,
    };
    if programs::find("dkms").is_none() && context.dry_run {
        return Ok(Vec::new());
    }
    let mut rows = status::parse(&cmd.finish(&context.report)?.text());
    rows.retain(|row| package.is_none_or(|package| row.package == *package));
    Ok(rows)
}

/// Writes modules.dep and the like for a kernel.
pub fn depmod(context: &Context, place: &Place, release: &Release) -> Result<()> {
    let cmd = Cmd::new("depmod");
    let cmd = match place.root() {
        Some(root) => cmd.arg("--basedir").arg(root),
        None => cmd,
    };
    host::inside(cmd.arg(release.as_str())).run(&context.report)?;
    Ok(())
}

/// dkms with the distribution's own compilers first, whatever toolchains the user has, and told where prepared kernels are.
fn dkms(context: &Context, place: &Place, action: &str) -> Cmd {
    let cmd = Cmd::new("dkms").arg(action).args(place.options());
    let changes_modules = matches!(action, "install" | "uninstall" | "remove");
    let cmd = if place.root().is_some() && changes_modules { cmd.arg("--no-depmod") } else { cmd };
    host::inside(cmd.env("PREPARED", context.cache.path("kernels")))
}

/// The failure for source that is not what was added.
fn changed(package: &Package, dir: &Utf8Path, files: &[Utf8PathBuf], registered: bool) -> Failure {
    if registered {
        let some: Vec<&str> = files.iter().take(3).map(|path| path.as_str()).collect();
        let more = files.len().saturating_sub(some.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let list = format!("{}{more}", some.join(", "));
        return Failure::refused(
            package.to_string(),
            format!("the project is not what was added: {list} in {dir} differ"),
        )
        .remedy("raise PACKAGE_VERSION, or cargo xtask dkms-remove and the same command again");
    }
    Failure::refused(dir.as_str(), "is there with other content, and DKMS does not know it")
        .remedy(format!("look what it is; if nobody needs it: rm -r {dir}"))
}
