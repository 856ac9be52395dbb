// SPDX-License-Identifier: GPL-2.0
//! What installing modules for one release changes, thought out and checked before anything is.

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
use kernel::archive::version;
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable::{digest, digest_of};
use report::failure::Failure;

/// What the user wants installed, for any release.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// Directory below `/lib/modules/RELEASE`.
    pub dir: ModDir,
    /// Whether the modules are loaded at boot.
    pub load: bool,
    /// Parameters for modprobe to load them with.
    pub options: Vec<String>,
    /// Whether a distribution's module that is newer may be stood before, and a module installed which the kernel would not load as
    /// things are.
    pub force: bool,
    /// Whether the initramfs is rebuilt.
    pub initramfs: initramfs::InitramfsChoice,
    /// Whether those in memory are replaced there, too.
    pub reload: bool,
}

/// A directory below `/lib/modules/RELEASE` for modules that did not come with the kernel: `INSTALL_MOD_DIR`.
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
            "is no plain directory below /lib/modules/RELEASE beside the kernel's own",
        )
        .remedy("--dir extra, or --dir updates"))
    }
}

/// Thinks out what installing `modules` for `release` changes. Nothing of the system is changed; the caller holds its lock.
///
/// # Errors
///
/// Refused: a module for another kernel, one that this kernel would not load, a file at the target that is not this tool's, a stock module that has become newer,
/// a result that modprobe would not load.
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
    let tree = ReleaseTree::scan(&dir)?;
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

/// Changes as they are collected.
#[derive(Default)]
pub(super) struct Changes(Vec<(FileChange, NewContent)>);

impl Changes {
    /// Adds a file that becomes `new`, unless it is that already.
    pub(super) fn add(&mut self, system: &TargetSystem, path: Utf8PathBuf, new: NewContent) -> Result<()> {
        let place = system.path(&path);
        let found = digest_of(&place)?;
        let wanted = match &new {
            NewContent::Bytes(bytes) => Some(digest(bytes)),
            NewContent::Link(file) => digest_of(file)?,
            NewContent::Nothing => None,
        };
        // Another file with the same bytes may still differ in mode, owner or times.
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

    /// Adds depmod's files.
    pub(super) fn add_index(
        &mut self,
        system: &TargetSystem,
        release: &Release,
        files: impl IntoIterator<Item = (String, NewContent)>,
    ) -> Result<()> {
        let dir = TargetSystem::relative_dir(release);
        files.into_iter().try_for_each(|(name, new)| self.add(system, dir.join(name), new))
    }

    /// The changes in an order in which modprobe finds a file at each moment: what is new, then the index, last of it the
    /// part that says which file is loaded, then what goes.
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

    /// Refuses modules for another kernel, and those that this one would not load.
    fn require_accepted(&self, modules: &[NamedModule]) -> Result<()> {
        for module in modules {
            module.module.modinfo.require_vermagic(&module.path, self.release)?;
        }
        let (tree, force) = (&self.tree, self.wish.force);
        let (context, system, release) = (self.context, self.system, self.release);
        Candidates { context, system, release, tree, modules, force }.require_accepted()
    }

    /// The changes that one module brings, and what is recorded of it.
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

    /// Files that an earlier install of the module brought and this one does not.
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

    /// Drop-ins by their paths, relative to `/`.
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

    /// Whatever is in the module's directory under its name must have been put there by this tool, and be as it left it.
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
        // A directory, or a link to nowhere, is no module, and in the way all the same.
        let place = self.dir.join(target);
        let ours = own.is_some_and(|own| own.file == target);
        if !ours && place.symlink_metadata().is_ok() { Err(foreign(&place).into()) } else { Ok(()) }
    }

    /// A drop-in is written where there is none, or one of ours that no other release needs as it is.
    fn require_own_drop_in(&self, path: &Utf8Path, text: &str, name: &str) -> Result<()> {
        let place = self.system.path(path);
        let Some(found) = digest_of(&place)? else { return Ok(()) };
        if found == digest(text.as_bytes()) {
            return Ok(());
        }
        if let Some((other, _)) = self.others.iter().find(|(_, record)| record.digest_of(path).is_some()) {
            let reason = format!("says otherwise for kernel {other}, which shares it");
            return Err(Failure::refused(place.as_str(), reason)
                .remedy(format!("cargo kmod uninstall {name} --kernel {other}"))
                .into());
        }
        let own = self.record.modules.get(name).and_then(|own| own.files.get(path));
        if own == Some(&found) { Ok(()) } else { Err(foreign(&place).into()) }
    }

    /// The module that would be loaded without ours. Refuses to stand before one that has become newer.
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
                format!("has changed since it was replaced: it was {old}, and is {new}")
            }),
            None => newer_version(&stock, module),
        };
        match newer {
            Some(reason) if !self.wish.force => {
                Err(Failure::refused(self.dir.join(&stock.file).as_str(), reason)
                    .remedy(format!(
                        "see whether {} is still needed, build it anew from the new source, then --force",
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

    /// Asks modprobe in the mirror, before anything is changed.
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
                let reason = format!("modprobe would load {answer}, and not {file}");
                return Err(Failure::refused(format!("{name} for {}", self.release), reason)
                    .remedy(format!("remove what else /etc/depmod.d or /etc/modprobe.d says of {name}"))
                    .into());
            }
            expected.insert(name.clone(), Expected::File(file.clone()));
        }
        Ok(expected)
    }

    /// Every file that counts as this tool's, in any release.
    fn ours(&self, record: &Record) -> BTreeSet<Utf8PathBuf> {
        let records = self.others.iter().map(|(_, record)| record).chain([record, &self.record]);
        records.flat_map(|record| record.modules.values()).flat_map(|own| own.files.keys().cloned()).collect()
    }

    /// Keeps depmod's files as they are before the first install; forgets them when all else has changed since.
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

    /// Directories that the changes need, each after the one it is in. That of the journal comes with it.
    fn missing_dirs<'b>(&self, changes: impl Iterator<Item = &'b FileChange>) -> Vec<Utf8PathBuf> {
        let state = Journal::state(self.release);
        let above =
            |change: &FileChange| change.path.ancestors().skip(1).map(Utf8Path::to_owned).collect::<Vec<_>>();
        let missing = |dir: &Utf8PathBuf| *dir != state && dir != "" && !self.system.path(dir).exists();
        let dirs: BTreeSet<Utf8PathBuf> = changes.flat_map(above).filter(missing).collect();
        dirs.into_iter().collect()
    }

    /// Remembers which directories were made, by this install or by that of another release, to remove them with the last file.
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

/// The module that would be loaded for `name` if this tool had installed none.
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

/// Why the stock module counts as newer than the one that is to stand before it, if it does: both must have a version.
fn newer_version(stock: &Stock, module: &NamedModule) -> Option<String> {
    let (theirs, ours) = (stock.identity.version.as_ref()?, module.module.modinfo.get("version")?);
    version::compare(theirs, ours)
        .is_gt()
        .then(|| format!("is version {theirs}, newer than {ours} of {}", module.file_name()))
}

/// Refuses to touch a file of this tool that somebody has changed since; that it is gone is no harm.
pub(super) fn require_unchanged(system: &TargetSystem, path: &Utf8Path, digest: &str) -> Result<()> {
    let place = system.path(path);
    if digest_of(&place)?.is_none_or(|found| found == digest) {
        return Ok(());
    }
    Err(Failure::refused(place.as_str(), "was changed since it was installed")
        .remedy("move it away, and run the command again")
        .into())
}

fn foreign(path: &Utf8Path) -> Failure {
    Failure::refused(path.as_str(), "is there already, and was not put there by this tool")
        .remedy("move it away, or choose another directory: --dir DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_each_moment_modprobe_finds_a_file() {
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
