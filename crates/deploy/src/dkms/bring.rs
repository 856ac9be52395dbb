// SPDX-License-Identifier: GPL-2.0
//! Brings a project to a goal for several kernels, two or more at once where there are processors for it.
//!
//! dkms builds every kernel in the one directory `NAME/VERSION/build`, so by itself one after another. Each kernel that is built
//! beside others gets a DKMS tree of its own; what was built there is then renamed into the real one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::dkms::check;
use crate::dkms::command::rows;
use crate::dkms::package::DkmsPackage;
use crate::dkms::place::ARCH;
use crate::dkms::session::{Dkms, DkmsOutcome};
use crate::dkms::source::{self, DkmsSource, SourceDrift};
use crate::dkms::status::DkmsState;
use crate::dkms::target::DkmsTarget;
use kmodfile::release::Release;
use report::failure::Failure;
use report::process::Cmd;

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

/// What is left to do for a kernel once its source is registered.
enum Left {
    Nothing(DkmsOutcome),
    Work(Work),
}

/// A kernel that something is to be built or installed for.
struct Work {
    package: DkmsPackage,
    target: DkmsTarget,
    /// How far DKMS is already. Asking it takes as long as what it does next.
    state: Option<DkmsState>,
    /// Whether nothing may be built beside it.
    alone: bool,
}

/// What a build has of the machine.
#[derive(Clone, Copy)]
struct ProcessorShare {
    /// Whether another may be building, so that it needs a DKMS tree of its own.
    beside: bool,
    /// Among how many the processors are divided.
    of: usize,
}

impl Dkms<'_> {
    /// Brings the project to `goal` for each kernel; what is done already is not done again. What a stopped dkms left is
    /// refused or, with `repair`, set right first. One result a kernel, in their order.
    pub fn bring(&self, releases: &[Release], goal: Goal, repair: bool) -> Result<Vec<Result<DkmsOutcome>>> {
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
        // The first makes the key that all are signed with.
        if at_once > 1
            && !self.place.tree().join("mok.pub").exists()
            && let Some((index, left)) = work.pop_front()
        {
            results[index] = Some(self.finish(&left, goal, ProcessorShare { beside: false, of: 1 }));
        }
        let (work, results) = (Mutex::new(work), Mutex::new(results));
        // With how many that are beside it: the last has the processors for itself.
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

    /// All that kernels may not do at once.
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

    /// Registers the source, and gives it.
    pub(super) fn add(&self, package: &DkmsPackage, release: &Release) -> Result<DkmsSource> {
        self.add_source(package, release).map(|(source, _)| source)
    }

    /// The same, and how far DKMS is with the kernel.
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
                self.context.report.note("Fresh", &format!("{package} is added, source unchanged"));
                return Ok((source, DkmsState::for_kernel(&rows, Some(release))));
            }
            None => {}
            Some(SourceDrift::Changed(files)) => {
                return Err(changed(package, &dir, &files, registered).into());
            }
            Some(SourceDrift::Absent) if self.context.dry_run => {
                self.context.report.say(&format!("would write {dir} ({} files)", source.files().len()));
            }
            Some(SourceDrift::Absent) => source.write(&dir)?,
        }
        if !registered {
            if self.place.root().is_some() && !self.context.dry_run {
                // On a machine dkms's own package makes it; dkms wants it there.
                fs_err::create_dir_all(self.place.tree())?;
            }
            self.run("Adding", "Added", &package.to_string(), &self.dkms("add", package), package)?;
        }
        Ok((source, DkmsState::for_kernel(&rows, Some(release))))
    }

    /// Builds, installs and looks at the result.
    fn finish(&self, work: &Work, goal: Goal, share: ProcessorShare) -> Result<DkmsOutcome> {
        let Work { package, target, .. } = work;
        self.build(work, share)?;
        if goal == Goal::Installed {
            self.install(work)?;
        }
        let outcome = self.outcome(package, &target.release)?;
        check::require_signatures(self.context, &outcome.modules, &target.config)?;
        Ok(outcome)
    }

    fn build(&self, work: &Work, share: ProcessorShare) -> Result<()> {
        let Work { package, target, state, .. } = work;
        let what = format!("{package} for {}", target.release);
        if *state >= Some(DkmsState::Built) {
            self.context.report.note("Fresh", &format!("{what} is built"));
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

    /// Builds in a DKMS tree of its own, then renames what was built into the real one.
    fn build_beside(
        &self,
        package: &DkmsPackage,
        target: &DkmsTarget,
        what: &str,
        jobs: usize,
    ) -> Result<()> {
        // On the same file system; dkms passes over names that begin with a dot.
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
        debug_assert!(wanted.ends_with(ARCH));
        // Where dkms reported success and built nothing, the check of what was built says so.
        if made.exists() {
            fs_err::rename(made, wanted)?;
        }
        Ok(fs_err::remove_dir_all(tree)?)
    }

    fn install(&self, work: &Work) -> Result<()> {
        let Work { package, target, state, .. } = work;
        let what = format!("{package} for {}", target.release);
        if *state >= Some(DkmsState::Installed) {
            self.context.report.note("Fresh", &format!("{what} is installed"));
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
        // dkms looks for this beside the kernel's modules alone, and leaves modules unsigned where it is not; a path in
        // framework.conf comes first.
        let cmd = cmd.arg("--kernelsourcedir").arg(dir).args(self.spare.iter().copied());
        cmd.env("sign_file", dir.join("scripts/sign-file"))
    }
}

/// The failure for source that is not what was added.
fn changed(package: &DkmsPackage, dir: &Utf8Path, files: &[Utf8PathBuf], registered: bool) -> Failure {
    if registered {
        let some: Vec<&str> = files.iter().take(3).map(|path| path.as_str()).collect();
        let more = files.len().saturating_sub(some.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let list = format!("{}{more}", some.join(", "));
        return Failure::refused(
            package.to_string(),
            format!("the project is not what was added: {list} in {dir} differ"),
        )
        .remedy("raise PACKAGE_VERSION, or cargo kmod dkms-remove and the same command again");
    }
    Failure::refused(dir.as_str(), "is there with other content, and DKMS does not know it")
        .remedy(format!("look what it is; if nobody needs it: rm -r {dir}"))
}
