// SPDX-License-Identifier: GPL-2.0
//! One project under DKMS: runs dkms for it and reports the results.

use anyhow::Result;
use serde::Serialize;

use crate::dkms::check::{Check, FoundModule, Reach, require_acceptable};
use crate::dkms::command::{self, PROGRAMS, depmod, name_dangling, rows};
use crate::dkms::fault;
use crate::dkms::package::DkmsPackage;
use crate::dkms::place::Place;
use crate::dkms::status::DkmsState;
use kernel::context::Context;
use kernel::machine::programs;
use kernel::machine::user;
use kmodfile::release::Release;
use project::Project;
use project::key;
use report::failure::{Exit, Failure};
use report::process::{Cmd, Output};

/// Lines of `make.log` that an error repeats.
const LOG_LINES: usize = 25;

/// The result for a kernel.
#[derive(Clone, Debug, Serialize)]
pub struct DkmsOutcome {
    /// The package.
    #[serde(flatten)]
    pub package: DkmsPackage,
    /// The kernel.
    pub kernel: Release,
    /// The state according to DKMS; `None` if DKMS does not know the package.
    pub state: Option<DkmsState>,
    /// Why the kernel was skipped.
    pub skipped: Option<String>,
    /// The modules that were found.
    pub modules: Vec<FoundModule>,
}

/// One project in one place.
#[derive(Clone, Debug)]
pub struct Dkms<'a> {
    pub(super) context: &'a Context,
    pub(super) place: &'a Place,
    pub(super) project: &'a Project,
    /// Whether a newer module of the kernel may be replaced (dkms(8), `--force`).
    pub(super) force: bool,
    /// The options that make this dkms leave the kernel's directory unchanged.
    pub(super) spare: &'static [&'static str],
}

impl<'a> Dkms<'a> {
    /// Opens the project, and installs dkms if it is missing. Only root may.
    pub fn open(context: &'a Context, place: &'a Place, project: &'a Project, force: bool) -> Result<Self> {
        programs::ensure(context, &[PROGRAMS, key::PROGRAMS])?;
        if !user::is_root() && !context.dry_run {
            return Err(Failure::missing("dkms", "only root can register and install modules")
                .remedy("run the same command as root")
                .into());
        }
        Ok(Self { context, place, project, force, spare: command::sparing(context)? })
    }
}

impl Dkms<'_> {
    /// Refuses a `dkms.conf` that this machine's dkms does not build from, and says what others
    /// make of it.
    ///
    /// # Errors
    ///
    /// Refused, with the line.
    pub fn require_acceptable(&self, reach: Reach) -> Result<()> {
        require_acceptable(self.context, self.project, command::version(self.context)?, reach)
    }

    pub(super) fn dkms(&self, action: &str, package: &DkmsPackage) -> Cmd {
        command::dkms(self.context, self.place, action).args(["-m", &package.name, "-v", &package.version])
    }

    /// Runs dkms as one step; with `--dry-run` only shows the command.
    pub(super) fn run(
        &self,
        verb: &str,
        done: &str,
        what: &str,
        cmd: &Cmd,
        package: &DkmsPackage,
    ) -> Result<()> {
        if self.context.dry_run {
            self.context.report.say(&format!("would run: {}", cmd.line()));
            return Ok(());
        }
        let step = self.context.report.step(verb, what);
        let output = cmd.finish(&self.context.report)?;
        if !output.status.success() {
            return Err(self.failure(cmd, &output, package));
        }
        command::complaints(&output.tail).for_each(|line| self.context.report.warn(line));
        step.done(done, what);
        Ok(())
    }

    /// Why dkms failed, with the end of the compiler's output if it got that far.
    fn failure(&self, cmd: &Cmd, output: &Output, package: &DkmsPackage) -> anyhow::Error {
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
            .remedy("fix the project, then run cargo kmod dkms remove and the same command again")
            .into()
    }

    /// dkms only runs depmod(8) for the machine itself, whatever `--installtree` says.
    pub(super) fn depmod_in_root(&self, release: &Release) -> Result<()> {
        match self.place.root() {
            _ if self.context.dry_run => Ok(()),
            Some(_) => depmod(self.context, self.place, release),
            None => {
                name_dangling(self.context, self.place, release);
                Ok(())
            }
        }
    }

    /// Refuses, or repairs, what an interrupted dkms has left.
    pub(super) fn settle(&self, package: &DkmsPackage, repair: bool) -> Result<()> {
        if repair {
            fault::repair(self.context, self.place, package)?;
            return Ok(());
        }
        fault::refuse(self.place, package)
    }

    /// What is known about a kernel now.
    pub(super) fn outcome(&self, package: &DkmsPackage, release: &Release) -> Result<DkmsOutcome> {
        let state = self.state(package, Some(release))?;
        let check = self.check(package, release);
        let modules = match state {
            Some(DkmsState::Installed) => check.installed()?,
            Some(DkmsState::Built) => check.built()?,
            _ => Vec::new(),
        };
        Ok(DkmsOutcome { package: package.clone(), kernel: release.clone(), state, skipped: None, modules })
    }

    /// The state according to DKMS: for a kernel or, without one, the furthest one. A package that
    /// is only added is so for every kernel.
    pub(super) fn state(
        &self,
        package: &DkmsPackage,
        release: Option<&Release>,
    ) -> Result<Option<DkmsState>> {
        Ok(DkmsState::for_kernel(&rows(self.context, self.place, Some(package))?, release))
    }

    pub(super) fn check<'b>(&'b self, package: &'b DkmsPackage, release: &'b Release) -> Check<'b> {
        Check { context: self.context, place: self.place, project: self.project, package, release }
    }

    pub(super) fn lock(&self) -> Result<report::cache::Lock> {
        self.context.cache.lock(&format!("dkms {}", self.place.tree()), &self.context.report)
    }
}

/// The first complaint of dkms.
fn complaint(tail: &str) -> &str {
    let line = tail.lines().find_map(|line| line.strip_prefix("Error! "));
    line.unwrap_or("dkms could not build it")
}
