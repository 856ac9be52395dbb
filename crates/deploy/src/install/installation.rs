// SPDX-License-Identifier: GPL-2.0
//! Plans what installing modules for one release changes, and checks it before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::install::acceptance::Candidates;
use crate::install::change::{FileChange, NewContent, is_same_file};
use crate::install::index::{ReleaseChanges, ReleaseMirror, is_index};
use crate::install::initramfs;
use crate::install::journal::{Action, Expected, Journal, STATE};
use crate::install::memory;
use crate::install::modprobe::{self, ModprobeAnswer};
use crate::install::module::NamedModule;
use crate::install::record::{Before, Installed, Record, Stock};

use crate::install::system::TargetSystem;
use crate::install::transaction::{Seen, TransactionPlan, require_none};
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::version;
use kmodfile::release::Release;
use report::durable::{digest, digest_of};
use report::failure::Failure;

/// How the user wants modules to be installed, for any release.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// Directory below `/lib/modules/RELEASE`.
    pub dir: ModDir,
    /// Whether the modules are loaded at boot.
    pub load: bool,
    /// Parameters that modprobe passes to the modules.
    pub options: Vec<String>,
    /// Whether a module may take precedence over a newer one of the distribution's, and whether one
    /// may be installed that the kernel would not load yet.
    pub force: bool,
    /// Whether the initramfs is rebuilt.
    pub initramfs: initramfs::InitramfsChoice,
    /// Whether modules in memory are replaced, too.
    pub reload: bool,
}

/// A directory below `/lib/modules/RELEASE` for modules that did not come with the kernel:
/// `INSTALL_MOD_DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModDir(Utf8PathBuf);

impl std::str::FromStr for ModDir {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let path = Utf8Path::new(text);
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-._/".contains(c);
        let below = path.components().all(|part| matches!(part, Utf8Component::Normal(_)));
        let first = path.components().next().map(|part| part.as_str());
        if below
            && text.chars().all(plain)
            && !matches!(first, None | Some("kernel" | "build" | "source" | STATE))
        {
            return Ok(Self(path.components().collect()));
        }
        Err(Failure::usage(
            format!("directory {text:?}"),
            "is not a plain directory below /lib/modules/RELEASE, outside those of the kernel",
        )
        .remedy("--dir extra, or --dir updates"))
    }
}

/// Plans what installing `modules` for `release` changes. The system is not changed; the caller
/// must hold its lock.
///
/// # Errors
///
/// Refused: a module for another kernel, one that this kernel would not load, a file at the target
/// that this tool did not install, a stock module that has become newer, a result that modprobe
/// would not load.
pub fn plan(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    modules: &[NamedModule],
    wish: &InstallOptions,
) -> Result<TransactionPlan> {
    let dir = system.release_dir(release)?;
    require_none(system, release)?;
    let record = Record::read(system, release)?;
    let others = Record::others(system, release)?;
    let tree = ReleaseTree::scan(system, release)?;
    Planning { context, system, release, wish, dir, record, others, tree }.plan(modules)
}

struct Planning<'a> {
    context: &'a Context,
    system: &'a TargetSystem,
    release: &'a Release,
    wish: &'a InstallOptions,
    dir: Utf8PathBuf,
    record: Record,
    others: Vec<(Release, Record)>,
    tree: ReleaseTree,
}

/// Collects changes.
#[derive(Default)]
pub(super) struct Changes(Vec<(FileChange, NewContent)>);

impl Changes {
    /// Adds the change of a file to `new`, unless that is what it is already.
    pub(super) fn add(&mut self, system: &TargetSystem, path: Utf8PathBuf, new: NewContent) -> Result<()> {
        let place = system.path(&path);
        let found = digest_of(&place)?;
        let wanted = match &new {
            NewContent::Bytes(bytes) => Some(digest(bytes)),
            NewContent::Link(file) => digest_of(file)?,
            NewContent::Nothing => None,
        };
        // Another file with the same contents may still differ in mode, owner or times.
        let same = match &new {
            NewContent::Link(file) => is_same_file(file, &place),
            NewContent::Bytes(_) | NewContent::Nothing => found == wanted,
        };
        if same {
            return Ok(());
        }
        // lib/modules/RELEASE/modules.dep
        let in_release = path.starts_with("lib/modules") && path.components().count() == 4;
        let index = in_release && path.file_name().is_some_and(|name| is_index(name.into()));
        self.0.push((FileChange { path, new: wanted, existed: found.is_some(), index }, new));
        Ok(())
    }

    /// Adds depmod's index.
    pub(super) fn add_index(
        &mut self,
        system: &TargetSystem,
        release: &Release,
        files: impl IntoIterator<Item = (String, NewContent)>,
    ) -> Result<()> {
        let dir = TargetSystem::relative_dir(release);
        files.into_iter().try_for_each(|(name, new)| self.add(system, dir.join(name), new))
    }

    /// The changes in an order in which modprobe finds a file at any moment: first the new files,
    /// then the index, last in it the part that says which file is loaded, then what is removed.
    pub(super) fn in_order(mut self) -> (Vec<FileChange>, Vec<NewContent>) {
        self.0.sort_by_key(|(change, _)| match (change.index, &change.new) {
            (false, Some(_)) => 0,
            (true, _) if change.path.file_name() == Some("modules.dep.bin") => 2,
            (true, _) => 1,
            (false, None) => 3,
        });
        self.0.into_iter().unzip()
    }

    fn changes(&self) -> impl Iterator<Item = &FileChange> {
        self.0.iter().map(|(change, _)| change)
    }
}

impl Planning<'_> {
    fn plan(&self, modules: &[NamedModule]) -> Result<TransactionPlan> {
        let mut record = self.record.clone();
        let mut changes = Changes::default();
        let mut difference = ReleaseChanges::default();
        self.require_accepted(modules)?;
        for module in modules {
            let installed = self.module(module, &mut changes, &mut difference)?;
            record.modules.insert(module.name.clone(), installed);
        }
        let mirror = ReleaseMirror::make(self.context, self.system, self.release, &self.tree, &difference)?;
        let expected = self.expected(modules, &record, &mirror)?;
        let seen = Seen::of(self.system, &self.tree, self.ours(&record))?;
        self.keep_before(&mut record, &seen, &mut changes)?;
        let make_dirs = self.missing_dirs(changes.changes());
        self.note_made_dirs(&mut record, &make_dirs);
        changes.add(self.system, Record::relative(self.release), NewContent::Bytes(record.bytes()))?;
        let index = mirror.files()?.into_iter().map(|(name, bytes)| (name, NewContent::Bytes(bytes)));
        changes.add_index(self.system, self.release, index)?;
        let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
        let initramfs =
            initramfs::concerned(self.context, self.system, self.release, &names, self.wish.initramfs)?;
        let reload =
            if self.wish.reload { memory::loaded(self.system, self.release, &names)? } else { Vec::new() };
        let (changes, new) = changes.in_order();
        let journal = Journal {
            release: self.release.clone(),
            action: Action::Install,
            make_dirs,
            drop_dirs: Vec::new(),
            changes,
            expected,
            initramfs,
            reload,
        };
        Ok(TransactionPlan { journal, new, seen })
    }

    /// Refuses modules for another kernel, and modules that this kernel would not load.
    fn require_accepted(&self, modules: &[NamedModule]) -> Result<()> {
        for module in modules {
            module.module.modinfo.require_vermagic(&module.path, self.release).or_fail()?;
        }
        let (tree, force) = (&self.tree, self.wish.force);
        let (context, system, release) = (self.context, self.system, self.release);
        Candidates { context, system, release, tree, modules, force }.require_accepted()
    }

    /// Adds the changes for one module, and returns what is recorded of it.
    fn module(
        &self,
        module: &NamedModule,
        changes: &mut Changes,
        difference: &mut ReleaseChanges,
    ) -> Result<Installed> {
        let file = self.wish.dir.0.join(module.file_name());
        self.require_no_foreign_file(module, &file)?;
        let stock = self.stock(module)?;
        let bytes = fs_err::read(&module.path)?;
        let mut files = BTreeMap::new();
        let path = TargetSystem::relative_dir(self.release).join(&file);
        files.insert(path.clone(), digest(&bytes));
        changes.add(self.system, path, NewContent::Bytes(bytes))?;
        difference.added.insert(file.clone(), module.path.canonicalize_utf8()?);
        for (path, text) in self.drop_ins(&module.name) {
            self.require_own_drop_in(&path, &text, &module.name)?;
            if path.starts_with("etc/depmod.d") {
                difference
                    .depmod_d
                    .insert(path.file_name().unwrap_or_default().to_owned(), Some(text.clone()));
            }
            files.insert(path.clone(), digest(text.as_bytes()));
            changes.add(self.system, path, NewContent::Bytes(text.into_bytes()))?;
        }
        self.drop_what_is_left_over(&module.name, &files, changes, difference)?;
        Ok(Installed { file, identity: module.identity(), files, stock })
    }

    /// Removes files that an earlier installation of the module had and this one lacks.
    fn drop_what_is_left_over(
        &self,
        name: &str,
        files: &BTreeMap<Utf8PathBuf, String>,
        changes: &mut Changes,
        difference: &mut ReleaseChanges,
    ) -> Result<()> {
        let earlier = self.record.modules.get(name).map(|installed| &installed.files);
        for (path, digest) in earlier.into_iter().flatten().filter(|(path, _)| !files.contains_key(*path)) {
            if self.others.iter().any(|(_, record)| record.digest_of(path).is_some()) {
                continue;
            }
            require_unchanged(self.system, path, digest)?;
            if let Ok(file) = path.strip_prefix(TargetSystem::relative_dir(self.release)) {
                difference.removed.push(file.to_owned());
            }
            changes.add(self.system, path.clone(), NewContent::Nothing)?;
        }
        Ok(())
    }

    /// The drop-ins, by path relative to `/`.
    fn drop_ins(&self, name: &str) -> Vec<(Utf8PathBuf, String)> {
        let head = "# Written by `cargo kmod install`, removed by `cargo kmod uninstall`.\n";
        let file = |dir: &str, line: String| {
            (Utf8PathBuf::from(format!("etc/{dir}/{name}.conf")), format!("{head}{line}\n"))
        };
        let mut files = vec![file("depmod.d", format!("override {name} * {}", self.wish.dir.0))];
        if self.wish.load {
            files.push(file("modules-load.d", name.to_owned()));
        }
        if !self.wish.options.is_empty() {
            files.push(file("modprobe.d", format!("options {name} {}", self.wish.options.join(" "))));
        }
        files
    }

    /// Refuses to replace a file in the module's directory unless this tool installed it and it is
    /// unchanged.
    fn require_no_foreign_file(&self, module: &NamedModule, target: &Utf8Path) -> Result<()> {
        let own = self.record.modules.get(&module.name);
        let there = self.tree.named(&module.name).filter(|path| path.parent() == target.parent());
        for path in there {
            let relative = TargetSystem::relative_dir(self.release).join(path);
            match own.and_then(|own| own.files.get(&relative)) {
                Some(digest) => require_unchanged(self.system, &relative, digest)?,
                None => return Err(foreign(&self.dir.join(path)).into()),
            }
        }
        // A directory or a dangling link is not a module, but still in the way.
        let place = self.dir.join(target);
        let ours = own.is_some_and(|own| own.file == target);
        if !ours && place.symlink_metadata().is_ok() { Err(foreign(&place).into()) } else { Ok(()) }
    }

    /// A drop-in is written if there is none, or if the one there is ours and no other release
    /// needs it as it is.
    fn require_own_drop_in(&self, path: &Utf8Path, text: &str, name: &str) -> Result<()> {
        let place = self.system.path(path);
        let Some(found) = digest_of(&place)? else { return Ok(()) };
        if found == digest(text.as_bytes()) {
            return Ok(());
        }
        if let Some((other, _)) = self.others.iter().find(|(_, record)| record.digest_of(path).is_some()) {
            let reason = format!("is shared with kernel {other}, which needs other contents");
            return Err(Failure::refused(place.as_str(), reason)
                .remedy(format!("cargo kmod uninstall {name} --kernel {other}"))
                .into());
        }
        let own = self.record.modules.get(name).and_then(|own| own.files.get(path));
        if own == Some(&found) { Ok(()) } else { Err(foreign(&place).into()) }
    }

    /// The module that would be loaded without ours. Refuses to take precedence over one that has
    /// become newer.
    fn stock(&self, module: &NamedModule) -> Result<Option<Stock>> {
        let recorded = self.record.modules.get(&module.name).and_then(|own| own.stock.as_ref());
        let Some(stock) =
            stock_of(self.context, self.system, self.release, &self.record, &self.tree, &module.name)?
        else {
            return Ok(None);
        };
        let newer = match recorded {
            Some(recorded) => (recorded.digest != stock.digest).then(|| {
                let (old, new) = (&recorded.identity, &stock.identity);
                format!("has changed since it was replaced: it was {old} and is now {new}")
            }),
            None => newer_version(&stock, module),
        };
        match newer {
            Some(reason) if !self.wish.force => {
                Err(Failure::refused(self.dir.join(&stock.file).as_str(), reason)
                    .remedy(format!(
                        "check whether {} is still needed, rebuild it from the new source, then use --force",
                        module.file_name()
                    ))
                    .into())
            }
            Some(reason) => {
                self.context.report.warn(&format!("{}: {reason}", stock.file));
                Ok(Some(stock))
            }
            None => Ok(Some(stock)),
        }
    }

    /// What modprobe must load, as confirmed in the mirror before anything is changed.
    fn expected(
        &self,
        modules: &[NamedModule],
        record: &Record,
        mirror: &ReleaseMirror,
    ) -> Result<BTreeMap<String, Expected>> {
        let mut expected = BTreeMap::new();
        for name in modules.iter().map(|module| &module.name) {
            let file = &record.modules[name].file;
            let answer = mirror.ask(self.context, self.system, name)?;
            if answer != ModprobeAnswer::File(file.clone()) {
                let reason = format!("modprobe would load {answer} instead of {file}");
                return Err(Failure::refused(format!("{name} for {}", self.release), reason)
                    .remedy(format!(
                        "remove the other lines about {name} from /etc/depmod.d and /etc/modprobe.d"
                    ))
                    .into());
            }
            expected.insert(name.clone(), Expected::File(file.clone()));
        }
        Ok(expected)
    }

    /// Every file that this tool has installed, in any release.
    fn ours(&self, record: &Record) -> BTreeSet<Utf8PathBuf> {
        let records = self.others.iter().map(|(_, record)| record).chain([record, &self.record]);
        records.flat_map(|record| record.modules.values()).flat_map(|own| own.files.keys().cloned()).collect()
    }

    /// Keeps depmod's index as it is before the first installation; drops it if anything else has
    /// changed since.
    fn keep_before(&self, record: &mut Record, seen: &Seen, changes: &mut Changes) -> Result<()> {
        let before_dir = Record::before_dir(self.release);
        if self.record.modules.is_empty() {
            let mut files = BTreeMap::new();
            let mut names = self.dir.read_dir_utf8()?.collect::<std::io::Result<Vec<_>>>()?;
            names.sort_by(|a, b| a.file_name().cmp(b.file_name()));
            for name in names.iter().map(|entry| entry.file_name().to_owned()) {
                if is_index(name.as_str().into())
                    && let Some(digest) = digest_of(&self.dir.join(&name))?
                {
                    changes.add(
                        self.system,
                        before_dir.join(&name),
                        NewContent::Link(self.dir.join(&name)),
                    )?;
                    files.insert(name, digest);
                }
            }
            record.before = Some(Before { fingerprint: seen.fingerprint.clone(), files });
        } else if let Some(before) = record.before.take_if(|before| before.fingerprint != seen.fingerprint) {
            for name in before.files.keys() {
                changes.add(self.system, before_dir.join(name), NewContent::Nothing)?;
            }
        }
        Ok(())
    }

    /// Directories that have to be created for the changes, each after its parent. That of the
    /// journal is created with the journal.
    fn missing_dirs<'b>(&self, changes: impl Iterator<Item = &'b FileChange>) -> Vec<Utf8PathBuf> {
        let state = Journal::state(self.release);
        let above =
            |change: &FileChange| change.path.ancestors().skip(1).map(Utf8Path::to_owned).collect::<Vec<_>>();
        let missing = |dir: &Utf8PathBuf| *dir != state && dir != "" && !self.system.path(dir).exists();
        let dirs: BTreeSet<Utf8PathBuf> = changes.flat_map(above).filter(missing).collect();
        dirs.into_iter().collect()
    }

    /// Records which directories were created, by this installation or that of another release, to
    /// remove them with the last file.
    fn note_made_dirs(&self, record: &mut Record, made: &[Utf8PathBuf]) {
        let by_others = self.others.iter().flat_map(|(_, record)| &record.made_dirs);
        let dirs = made.iter().chain(by_others.filter(|dir| dir.starts_with("etc")));
        for dir in dirs.filter(|dir| !dir.starts_with(Journal::state(self.release))) {
            if !record.made_dirs.contains(dir) {
                record.made_dirs.push(dir.clone());
            }
        }
    }
}

/// The module that would be loaded for `name` if this tool had not installed one.
pub(super) fn stock_of(
    context: &Context,
    system: &TargetSystem,
    release: &Release,
    record: &Record,
    tree: &ReleaseTree,
    name: &str,
) -> Result<Option<Stock>> {
    let ours: Vec<&Utf8Path> = record.module_files().collect();
    let candidates: Vec<&Utf8Path> = tree.named(name).filter(|path| !ours.contains(path)).collect();
    let recorded = record.modules.get(name).and_then(|own| own.stock.as_ref());
    let asked = match recorded {
        Some(stock) => Some(stock.file.clone()),
        None => match modprobe::ask(system.root(), system.root(), release, name, &context.report)? {
            ModprobeAnswer::File(file) => Some(file),
            _ => None,
        },
    };
    let found = candidates.iter().find(|path| asked.as_deref() == Some(**path)).or(candidates.first());
    let Some(file) = found else { return Ok(None) };
    let path = system.release_dir(release)?.join(file);
    let identity = NamedModule::read(&path)?.identity();
    Ok(digest_of(&path)?.map(|digest| Stock { file: (*file).to_owned(), digest, identity }))
}

/// Why the stock module counts as newer than the one that is to take precedence over it, if it
/// does. Both must have a version.
fn newer_version(stock: &Stock, module: &NamedModule) -> Option<String> {
    let (theirs, ours) = (stock.identity.version.as_ref()?, module.module.modinfo.get("version")?);
    version::compare(theirs, ours)
        .is_gt()
        .then(|| format!("has version {theirs}, newer than {ours} of {}", module.file_name()))
}

/// Refuses to touch a file of this tool's that was changed since. It may be missing.
pub(super) fn require_unchanged(system: &TargetSystem, path: &Utf8Path, digest: &str) -> Result<()> {
    let place = system.path(path);
    if digest_of(&place)?.is_none_or(|found| found == digest) {
        return Ok(());
    }
    Err(Failure::refused(place.as_str(), "has been changed since it was installed")
        .remedy("move it away and run the command again")
        .into())
}

fn foreign(path: &Utf8Path) -> Failure {
    Failure::refused(path.as_str(), "exists already and was not installed by this tool")
        .remedy("move it away, or choose another directory: --dir DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_any_moment_modprobe_finds_a_file() {
        let change = |path: &str, new: bool, index: bool| {
            let new = new.then(String::new);
            (FileChange { path: path.into(), new, existed: true, index }, NewContent::Nothing)
        };
        let changes = Changes(vec![
            change("old.ko", false, false),
            change("modules.dep.bin", true, true),
            change("modules.alias", true, true),
            change("modules.weakdep", false, true),
            change("new.ko", true, false),
        ]);
        let order: Vec<Utf8PathBuf> = changes.in_order().0.into_iter().map(|change| change.path).collect();
        assert_eq!(order, ["new.ko", "modules.alias", "modules.weakdep", "modules.dep.bin", "old.ko"]);
    }

    #[test]
    fn directories_for_modules() {
        for text in ["extra", "updates/dkms", "extra/"] {
            assert!(text.parse::<ModDir>().is_ok(), "{text}");
        }
        for text in ["", "kernel/fs", "/extra", "../x", "extra/../..", "build", STATE, "a b", "x\ny"] {
            assert!(text.parse::<ModDir>().is_err(), "{text}");
        }
    }
}
