// SPDX-License-Identifier: GPL-2.0
//! Carries out the changes to one release: all of them or none.
//!
//! All new files are on disk, and all old ones have a second name, before the journal is committed;
//! from then on only renames are needed, which take no disk space. If a step fails, everything is
//! undone; if the run is killed, the next one finishes or undoes it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use crate::install::change::{FileOwner, NewContent};
use crate::install::depmod;
use crate::install::earlier;
use crate::install::initramfs;
use crate::install::journal::{Action, Direction, Expected, Journal, STATE, remove_idle_state};
use crate::install::memory;
use crate::install::modprobe::{self, ModprobeAnswer};
use crate::install::module::{Identity, NamedModule};
use crate::install::outcome::{DoneBut, InstallOutcome};
use crate::install::record::Record;
use crate::install::system::TargetSystem;
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable::{self, Digest};
use report::failure::Failure;
use report::size;

/// Changes that were planned and checked, but not started.
#[derive(Clone, Debug)]
pub struct TransactionPlan {
    /// What is written to disk first.
    pub journal: Journal,
    /// The new contents for each of the journal's changes.
    pub new: Vec<NewContent>,
    /// The state of everything else when the changes were planned.
    pub seen: Seen,
}

/// The state of a release for which a plan is valid.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Files of this tool, relative to `/`, which are left out.
    pub ours: BTreeSet<Utf8PathBuf>,
    /// The digest over everything else that depmod reads.
    pub fingerprint: Digest,
}

impl Seen {
    /// The state in which `tree` is now.
    pub fn of(system: &TargetSystem, tree: &ReleaseTree, ours: BTreeSet<Utf8PathBuf>) -> Result<Self> {
        let fingerprint = tree.fingerprint(system, |path| ours.contains(path))?;
        Ok(Self { ours, fingerprint })
    }

    fn require_same(&self, system: &TargetSystem, release: &Release) -> Result<()> {
        let tree = ReleaseTree::scan(system, release)?;
        if tree.fingerprint(system, |path| self.ours.contains(path))? == self.fingerprint {
            return Ok(());
        }
        Err(Failure::refused(
            format!("kernel {release}"),
            "its modules, or depmod's configuration, were changed by another program in the meantime",
        )
        .remedy("wait until that program is done and run the command again")
        .into())
    }
}

/// Carries out a plan; with `--dry-run` only lists its steps.
pub fn run_or_say(
    context: &Context,
    system: &TargetSystem,
    plan: &TransactionPlan,
) -> Result<InstallOutcome> {
    if context.dry_run {
        return Ok(InstallOutcome { modules: BTreeMap::new(), would: plan.steps(system) });
    }
    let (doing, done) = plan.journal.action.verbs();
    let step = context.report.step(doing, &plan.journal.subject());
    run(context, system, plan)?;
    step.done(done, &plan.journal.subject());
    Ok(InstallOutcome { modules: plan.journal.expected.clone(), would: Vec::new() })
}

impl TransactionPlan {
    /// Its steps, for people.
    fn steps(&self, system: &TargetSystem) -> Vec<String> {
        let release = &self.journal.release;
        let mut steps: Vec<String> =
            self.journal.make_dirs.iter().map(|dir| format!("would create {}", system.path(dir))).collect();
        let kept = self.new.iter().filter(|new| matches!(new, NewContent::Link(_))).count();
        if kept > 0 {
            let verb = if self.journal.action == Action::Install { "keep" } else { "restore" };
            let files = report::counted(kept, "index file", "index files");
            steps.push(format!("would {verb} the {files} that depmod had made before"));
        }
        let changes = self.journal.changes.iter().zip(&self.new);
        for (change, new) in
            changes.filter(|(change, _)| !change.path.starts_with(Record::before_dir(release)))
        {
            let path = system.path(&change.path);
            let verb = if change.existed { "replace" } else { "write" };
            steps.push(match new {
                NewContent::Bytes(bytes) => format!("would {verb} {path} ({})", size(bytes.len() as u64)),
                NewContent::Link(_) => format!("would {verb} {path} with the file that was kept"),
                NewContent::Nothing => format!("would remove {path}"),
            });
        }
        for (name, expected) in &self.journal.expected {
            steps.push(match expected {
                Expected::File(file) => {
                    format!("would check that modprobe loads {file} for {name} on {release}")
                }
                Expected::OtherThan(file) => {
                    format!("would check that modprobe no longer loads {file} for {name} on {release}")
                }
            });
        }
        let image = self.journal.initramfs.iter().map(|rebuild| format!("would rebuild {}", rebuild.image));
        steps.extend(image);
        steps.extend(self.journal.reload.iter().map(|name| format!("would unload and reload {name}")));
        steps
    }
}

/// Carries out a plan. The caller must hold the system's lock.
fn run(context: &Context, system: &TargetSystem, plan: &TransactionPlan) -> Result<()> {
    let journal = &plan.journal;
    let work = Work { context, system, journal };
    let begun = journal
        .write(system)
        .and_then(|()| work.stage(&plan.new))
        .and_then(|()| plan.seen.require_same(system, &journal.release))
        .and_then(|()| journal.turn(system, Direction::Forward));
    match begun {
        Ok(()) => work.forward(),
        Err(error) => Err(work.give_up(error)),
    }
}

/// Finishes or undoes what killed runs have left in any release. If that fails, this only warns;
/// [`require_none`] then refuses.
pub fn recover(context: &Context, system: &TargetSystem) {
    for release in system.releases() {
        let recovered = adopt_earlier(context, system, &release).and_then(|()| {
            if context.dry_run {
                say_pending(context, system, &release)
            } else {
                recover_one(context, system, &release)
            }
        });
        if let Err(error) = recovered {
            context.report.warn(&format!("kernel {release}: {error:#}"));
        }
    }
}

/// Takes over what was installed when this tool had another name.
fn adopt_earlier(context: &Context, system: &TargetSystem, release: &Release) -> Result<()> {
    match earlier::find(system, release)? {
        Some(state) if context.dry_run => {
            context.report.say(&format!("would rename {state} to {STATE}"));
            Ok(())
        }
        Some(state) => earlier::adopt(&state),
        None => Ok(()),
    }
}

fn say_pending(context: &Context, system: &TargetSystem, release: &Release) -> Result<()> {
    if let Some((journal, direction)) = Journal::find(system, release)? {
        let verb = if direction == Direction::Forward { "finish" } else { "undo" };
        context.report.say(&format!("would {verb} {}, which was interrupted", journal.name()));
    }
    Ok(())
}

/// Refuses to start while an earlier transaction is unfinished.
pub fn require_none(system: &TargetSystem, release: &Release) -> Result<()> {
    match Journal::find(system, release)? {
        None => Ok(()),
        Some((journal, _)) => Err(Failure::refused(
            format!("kernel {release}"),
            format!("{} was interrupted, and could be neither finished nor undone", journal.name()),
        )
        .remedy("fix what the warning above names, and run the command again")
        .into()),
    }
}

fn recover_one(context: &Context, system: &TargetSystem, release: &Release) -> Result<()> {
    if !system.path(Journal::state(release)).exists() {
        return Ok(());
    }
    let Some((journal, direction)) = Journal::find(system, release)? else {
        return remove_idle_state(system, release);
    };
    let work = Work { context, system, journal: &journal };
    let what = format!("{}, which was interrupted", journal.name());
    match direction {
        Direction::Forward => {
            context.report.note("Finishing", &what);
            work.forward()
        }
        Direction::Undo => {
            context.report.note("Undoing", &what);
            work.undo()
        }
    }
}

struct Work<'a> {
    context: &'a Context,
    system: &'a TargetSystem,
    journal: &'a Journal,
}

impl Work<'_> {
    fn stage(&self, new: &[NewContent]) -> Result<()> {
        let root = self.system.root();
        for dir in self.journal.make_dirs.iter().map(|dir| root.join(dir)) {
            self.system.require_inside(dir.strip_prefix(root)?)?;
            fs_err::create_dir(&dir)?;
            durable::sync_dir(dir.parent().expect("it is below the root"))?;
        }
        for (change, new) in self.journal.changes.iter().zip(new) {
            self.system.require_inside(&change.path)?;
            change.stage(root, new)?;
        }
        self.sync()
    }

    /// From the commit to the end, from wherever a run was interrupted.
    fn forward(&self) -> Result<()> {
        let done = self
            .apply()
            .and_then(|()| self.check())
            .and_then(|()| self.rebuild())
            .and_then(|()| self.reload());
        let Err(error) = done else {
            return self.finish(&self.journal.drop_dirs).map_err(|error| self.done_but(error));
        };
        if let Err(error) = self.withdraw() {
            self.context.report.warn(&format!("the modules that were loaded stay in memory: {error:#}"));
        }
        match self.journal.turn(self.system, Direction::Undo) {
            Ok(()) => Err(self.give_up(error)),
            Err(second) => Err(self.half_done(error, &second)),
        }
    }

    fn apply(&self) -> Result<()> {
        let found = all(self.journal.changes.iter().map(|change| change.apply(self.system.root())))?;
        self.sync()?;
        self.make_index_if(found == FileOwner::Foreign)
    }

    /// Checks the result with modprobe.
    fn check(&self) -> Result<()> {
        let (root, release) = (self.system.root(), &self.journal.release);
        for (name, expected) in &self.journal.expected {
            let answer = modprobe::ask(root, root, release, name, &self.context.report)?;
            let well = match expected {
                Expected::File(file) => answer == ModprobeAnswer::File(file.clone()),
                Expected::OtherThan(file) => answer != ModprobeAnswer::File(file.clone()),
            };
            if !well {
                return Err(Failure::refused(name.clone(), format!("modprobe would load {answer}"))
                    .remedy(format!(
                        "see which configuration names it: modprobe --showconfig | grep -w {name}"
                    ))
                    .into());
            }
        }
        Ok(())
    }

    fn rebuild(&self) -> Result<()> {
        let Some(wanted) = &self.journal.initramfs else { return Ok(()) };
        let holds: &[String] = match self.journal.action {
            Action::Install => &wanted.holds,
            // The distribution may have no module of that name.
            Action::Uninstall => &[],
        };
        initramfs::rebuild(self.context, self.system, &self.journal.release, wanted, holds)
    }

    /// Replaces the modules in memory.
    fn reload(&self) -> Result<()> {
        let names = &self.journal.reload;
        if names.is_empty() { Ok(()) } else { memory::reload(self.context, names, &self.new_identities()?) }
    }

    fn withdraw(&self) -> Result<()> {
        let names = &self.journal.reload;
        if names.is_empty() { Ok(()) } else { memory::withdraw(self.context, names, &self.new_identities()?) }
    }

    /// Which builds the installed files are.
    fn new_identities(&self) -> Result<BTreeMap<String, Identity>> {
        let dir = self.system.release_dir(&self.journal.release)?;
        let files = self.journal.expected.iter().filter_map(|(name, expected)| match expected {
            Expected::File(file) => Some((name.clone(), dir.join(file))),
            Expected::OtherThan(_) => None,
        });
        files.map(|(name, file)| Ok((name, NamedModule::read(&file)?.identity()))).collect()
    }

    /// All is done and checked, and what that leaves could not be removed: the state is told before
    /// the reason.
    fn done_but(&self, error: anyhow::Error) -> anyhow::Error {
        error.context(DoneBut { journal: self.journal.clone() })
    }

    /// After a failure, when the journal says undo: returns the error to report.
    fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        let what = self.journal.name();
        if let Err(second) = self.put_back() {
            return self.half_done(error, &second);
        }
        match self.finish(&self.made_dirs()) {
            Ok(()) => error.context(format!("{what} failed, and all is as before")),
            Err(second) => error.context(format!(
                "{what} failed, and all is as before, but what it left could not be removed ({second:#}); the next run \
                 does that"
            )),
        }
    }

    fn half_done(&self, error: anyhow::Error, second: &anyhow::Error) -> anyhow::Error {
        error.context(format!(
            "{} failed, and could not be undone ({second:#}); the next run undoes it",
            self.journal.name()
        ))
    }

    fn undo(&self) -> Result<()> {
        self.put_back()?;
        self.finish(&self.made_dirs())
    }

    /// Restores the old files.
    fn put_back(&self) -> Result<()> {
        let found = all(self.journal.changes.iter().rev().map(|change| change.undo(self.system.root())))?;
        self.sync()?;
        self.make_index_if(found == FileOwner::Foreign)?;
        memory::put_back(self.context, &self.journal.reload)
    }

    /// The directories that were created, the inner ones first.
    fn made_dirs(&self) -> Vec<Utf8PathBuf> {
        self.journal.make_dirs.iter().rev().cloned().collect()
    }

    /// Removes the files beside the changed ones, then the journal.
    fn finish(&self, dirs: &[Utf8PathBuf]) -> Result<()> {
        let root = self.system.root();
        for change in &self.journal.changes {
            change.clean(root)?;
        }
        self.sync()?;
        for dir in dirs {
            durable::remove_empty_dir(&root.join(dir))?;
        }
        self.journal.close(self.system)
    }

    fn make_index_if(&self, stale: bool) -> Result<()> {
        if !stale {
            return Ok(());
        }
        let release = &self.journal.release;
        self.context
            .report
            .note("Indexing", &format!("{release} again, because depmod has run since the interruption"));
        depmod::in_place(&self.context.report, self.system, release, &BTreeSet::new())
    }

    fn sync(&self) -> Result<()> {
        let root = self.system.root();
        let dirs: BTreeSet<Utf8PathBuf> =
            self.journal.changes.iter().map(|change| change.dir(root)).collect();
        dirs.iter()
            .filter(|dir| dir.exists())
            .try_for_each(|dir| durable::sync_dir(dir))
            .context("writing to disk")
    }
}

/// Whether another program has written any of the files. The first failure ends it.
fn all(mut changes: impl Iterator<Item = Result<FileOwner>>) -> Result<FileOwner> {
    changes.try_fold(FileOwner::Ours, |all, found| {
        Ok(if found? == FileOwner::Foreign { FileOwner::Foreign } else { all })
    })
}
