// SPDX-License-Identifier: GPL-2.0
//! Brings a project to a goal for several kernels, in parallel if there are processors for that.
//!
//! dkms builds for all kernels in the same directory, `NAME/VERSION/build`, so it can only build
//! one after another. In a parallel build each kernel gets a DKMS tree of its own; what was built
//! there is then renamed into the real one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::dkms::check::{self, Reach};
use crate::dkms::command::rows;
use crate::dkms::package::DkmsPackage;
use crate::dkms::place::arch;
use crate::dkms::session::{Dkms, DkmsOutcome};
use crate::dkms::source::{self, DkmsSource, SourceDrift};
use crate::dkms::status::DkmsState;
use crate::dkms::target::DkmsTarget;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;
use report::process::Cmd;

/// How far a project is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// Its source is registered.
    Added,
    /// Its modules are built.
    Built,
    /// Its modules are installed where modprobe(8) finds them.
    Installed,
}

/// What is left to do for a kernel after its source was registered.
enum Left {
    Nothing(DkmsOutcome),
    Work(Work),
}

/// A kernel for which something has to be built or installed.
struct Work {
    package: DkmsPackage,
    target: DkmsTarget,
    /// The state according to DKMS. Asking for it again would take as long as the next step.
    state: Option<DkmsState>,
    /// Whether nothing may be built at the same time.
    alone: bool,
}

/// A build's share of the machine.
#[derive(Clone, Copy)]
struct ProcessorShare {
    /// Whether other builds may be running, so that it needs a DKMS tree of its own.
    beside: bool,
    /// The number of builds that share the processors.
    of: usize,
}

impl Dkms<'_> {
    /// Brings the project to `goal` for each kernel; what is done already is not repeated. What an
    /// interrupted dkms has left is refused or, with `repair`, repaired first. Returns one result
    /// for each kernel, in their order.
    pub fn bring(&self, releases: &[Release], goal: Goal, repair: bool) -> Result<Vec<Result<DkmsOutcome>>> {
        self.require_acceptable(Reach::Here)?;
        let _lock = self.lock()?;
        let mut results: Vec<Option<Result<DkmsOutcome>>> = Vec::new();
        let mut work = VecDeque::new();
        for release in releases {
            results.push(match self.register(release, goal, repair) {
                Ok(Left::Nothing(outcome)) => Some(Ok(outcome)),
                Ok(Left::Work(left)) => {
                    work.push_back((results.len(), left));
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
        let at_once =
            if work.iter().any(|(_, left)| left.alone) { 1 } else { self.context.jobs.min(work.len()) };
        // The first one creates the key that all modules are signed with.
        if at_once > 1
            && !self.place.tree().join("mok.pub").exists()
            && let Some((index, left)) = work.pop_front()
        {
            results[index] = Some(self.finish(&left, goal, ProcessorShare { beside: false, of: 1 }));
        }
        let (work, results) = (Mutex::new(work), Mutex::new(results));
        // With the number of builds that run at the same time: the last one has all processors.
        let next = || {
            let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
            let beside = at_once.min(work.len());
            work.pop_front().map(|(index, left)| (index, left, beside))
        };
        std::thread::scope(|scope| {
            for _ in 0..at_once.max(1) {
                scope.spawn(|| {
                    while let Some((index, left, beside)) = next() {
                        let result =
                            self.finish(&left, goal, ProcessorShare { beside: at_once > 1, of: beside });
                        results.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
                    }
                });
            }
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(results.into_iter().flatten().collect())
    }

    /// Everything that cannot be done for several kernels at once.
    fn register(&self, release: &Release, goal: Goal, repair: bool) -> Result<Left> {
        let package = source::package_of(self.project, release);
        self.settle(&package, repair)?;
        if goal == Goal::Added {
            self.add(&package, release)?;
            return Ok(Left::Nothing(self.outcome(&package, release)?));
        }
        let target = DkmsTarget::of(self.context, self.place, self.project, release)?;
        if let Some(reason) = self.project.excludes(release, &target.config) {
            self.context.report.note("Skipping", &format!("{release}: {reason}"));
            let skipped = Some(reason);
            return Ok(Left::Nothing(DkmsOutcome { skipped, ..self.outcome(&package, release)? }));
        }
        let (source, state) = self.add_source(&package, release)?;
        Ok(Left::Work(Work { alone: source.depends_on_others(), package, target, state }))
    }

    /// Registers the source, and returns it.
    pub(super) fn add(&self, package: &DkmsPackage, release: &Release) -> Result<DkmsSource> {
        self.add_source(package, release).map(|(source, _)| source)
    }

    /// The same, with the state according to DKMS for the kernel.
    fn add_source(
        &self,
        package: &DkmsPackage,
        release: &Release,
    ) -> Result<(DkmsSource, Option<DkmsState>)> {
        let source = DkmsSource::of(self.context, self.project, release)?;
        let dir = self.place.source_of(package);
        let rows = rows(self.context, self.place, Some(package))?;
        let registered = !rows.is_empty();
        match source.differs_from(&dir)? {
            None if registered => {
                self.context
                    .report
                    .note("Fresh", &format!("{package} is added, and its source is unchanged"));
                return Ok((source, DkmsState::for_kernel(&rows, Some(release))));
            }
            None => {}
            Some(SourceDrift::Changed(files)) => {
                return Err(changed(package, &dir, &files, registered).into());
            }
            Some(SourceDrift::Absent) if self.context.dry_run => {
                let files = report::counted(source.files().len(), "file", "files");
                self.context.report.say(&format!("would write {dir} ({files})"));
            }
            Some(SourceDrift::Absent) => source.write(&dir)?,
        }
        if !registered {
            if self.place.root().is_some() && !self.context.dry_run {
                // On a machine it is created by the package of dkms, which requires it.
                fs_err::create_dir_all(self.place.tree())?;
            }
            self.run("Adding", "Added", &package.to_string(), &self.dkms("add", package), package)?;
        }
        Ok((source, DkmsState::for_kernel(&rows, Some(release))))
    }

    /// Builds, installs and checks the result.
    fn finish(&self, work: &Work, goal: Goal, share: ProcessorShare) -> Result<DkmsOutcome> {
        let Work { package, target, .. } = work;
        self.build(work, share)?;
        if goal == Goal::Installed {
            self.install(work)?;
        }
        let outcome = self.outcome(package, &target.release)?;
        check::require_unpackable(&outcome.modules, &target.config)?;
        check::require_signatures(self.context, &outcome.modules, &target.config)?;
        Ok(outcome)
    }

    fn build(&self, work: &Work, share: ProcessorShare) -> Result<()> {
        let Work { package, target, state, .. } = work;
        let what = format!("{package} for {}", target.release);
        if *state >= Some(DkmsState::Built) {
            self.context.report.note("Fresh", &format!("{what} is already built"));
        } else if share.beside && !self.context.dry_run {
            self.build_beside(package, target, &what, (self.context.jobs / share.of).max(1))?;
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

    /// Builds in a separate DKMS tree, then renames what was built into the real one.
    fn build_beside(
        &self,
        package: &DkmsPackage,
        target: &DkmsTarget,
        what: &str,
        jobs: usize,
    ) -> Result<()> {
        // On the same file system; dkms ignores names that begin with a dot.
        let tree = self.place.tree().join(format!(".{}.partial", target.release));
        if tree.exists() {
            fs_err::remove_dir_all(&tree)?;
        }
        fs_err::create_dir_all(&tree)?;
        let place = self.place.with_tree(&tree);
        let beside = Dkms { place: &place, ..*self };
        let add = beside.dkms("add", package);
        add.run(&self.context.report)?;
        let cmd = self.for_target(beside.dkms("build", package), target).arg("-j").arg(jobs.to_string());
        beside.run("Building", "Built", what, &cmd, package)?;
        let (made, wanted) =
            (place.built(package, &target.release), self.place.built(package, &target.release));
        fs_err::create_dir_all(wanted.parent().unwrap_or(&wanted))?;
        debug_assert!(wanted.ends_with(arch()));
        // If dkms reports success without building anything, the check of the result reports that.
        if made.exists() {
            durable::publish(&made, &wanted)?;
        }
        Ok(fs_err::remove_dir_all(tree)?)
    }

    fn install(&self, work: &Work) -> Result<()> {
        let Work { package, target, state, .. } = work;
        let what = format!("{package} for {}", target.release);
        if *state >= Some(DkmsState::Installed) {
            self.context.report.note("Fresh", &format!("{what} is already installed"));
        } else {
            let cmd = self.for_target(self.dkms("install", package), target);
            let same = || -> Result<bool> {
                Ok(!self.context.dry_run && self.check(package, &target.release).replaces_same_version()?)
            };
            let cmd = match self.force {
                true => cmd.arg("--force"),
                false if same()? => cmd.arg("--force-version-override"),
                false => cmd,
            };
            self.run("Installing", "Installed", &what, &cmd, package)?;
            self.depmod_in_root(&target.release)?;
        }
        if !self.context.dry_run {
            self.check(package, &target.release).installed()?;
        }
        Ok(())
    }

    fn for_target(&self, cmd: Cmd, target: &DkmsTarget) -> Cmd {
        let cmd = cmd.args(["-k", target.release.as_str()]);
        let Some(dir) = &target.kdir else { return cmd };
        // dkms only looks for this beside the kernel's modules, and leaves modules unsigned if it
        // is not there; a path in framework.conf takes precedence.
        let cmd = cmd.arg("--kernelsourcedir").arg(dir).args(self.spare.iter().copied());
        cmd.env("sign_file", dir.join("scripts/sign-file"))
    }
}

/// The failure for source that differs from what was added.
fn changed(package: &DkmsPackage, dir: &Utf8Path, files: &[Utf8PathBuf], registered: bool) -> Failure {
    if registered {
        let some: Vec<&str> = files.iter().take(3).map(|path| path.as_str()).collect();
        let more = files.len().saturating_sub(some.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let list = format!("{}{more}", some.join(", "));
        return Failure::refused(
            package.to_string(),
            format!("the project differs from what was added: {list} in {dir}"),
        )
        .remedy("raise PACKAGE_VERSION; or run cargo kmod dkms remove and the same command again");
    }
    Failure::refused(dir.as_str(), "exists with other content and is not known to DKMS")
        .remedy(format!("inspect it; if nobody needs it: rm -r {dir}"))
}
