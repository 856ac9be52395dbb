// SPDX-License-Identifier: GPL-2.0
//! What a wish changes: thought out for each kernel before anything is changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::install::known_kernel::KnownKernel;
use crate::install::module::NamedModule;
use crate::install::system::TargetSystem;
use crate::install::tree::ReleaseTree;
use crate::rpm::weak_updates::judgement::{self, Judged, Offer, Offers, ReadModule};
use crate::rpm::weak_updates::layout::{ExistingLink, Extra, Modules};
use crate::rpm::weak_updates::link::LinkChange;
use crate::rpm::weak_updates::reason::{NotLinked, WhyNot};
use kernel::context::Context;
use kernel::failures::OrFail as _;
use kernel::kmod;
use kmodfile::file::{FileError, ModuleFile};
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use kmodfile::name;
use kmodfile::release::Release;

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A kernel was added: link what it would load.
    AddKernel(Release),
    /// A kernel is removed: remove its links, and those that led to modules which went with it.
    RemoveKernel(Release),
    /// Modules were added: link them in each kernel that would load them.
    AddModules(Vec<Extra>),
    /// Modules were removed: remove the links that led to them.
    RemoveModules(Vec<Extra>),
}

/// What is to be done, and what is left out.
#[derive(Clone, Debug, Default)]
pub struct WeakPlan {
    /// The changes, by kernel.
    pub changes: Vec<LinkChange>,
    /// What is not linked, and why.
    pub not_linked: Vec<NotLinked>,
    /// Kernels whose links stay as they are, as nothing lists what they export.
    pub unknown: Vec<Release>,
    /// Modules named as removed that are there, so that the links to them stay.
    pub kept: Vec<Extra>,
    /// Kernels whose index does not list a link that it has: an earlier run was killed before
    /// depmod.
    pub stale: BTreeSet<Release>,
}

/// Plans what a wish changes. Nothing is changed; the caller must hold the system's lock.
///
/// # Errors
///
/// Missing, if a kernel that was added is not there; usage, if a module that was added is not.
pub fn plan(context: &Context, modules: &Modules, wish: &Wish) -> Result<WeakPlan> {
    let mut planning = Planning { context, modules, read: HashMap::new(), plan: WeakPlan::default() };
    match wish {
        Wish::AddKernel(kernel) => planning.add_kernel(kernel)?,
        Wish::AddModules(named) => planning.add_modules(named)?,
        Wish::RemoveKernel(kernel) => planning.remove_kernel(kernel)?,
        Wish::RemoveModules(named) => planning.remove_modules(named)?,
    }
    planning.note_stale();
    Ok(planning.plan)
}

struct Planning<'a> {
    context: &'a Context,
    modules: &'a Modules,
    /// What was read, by file; or what is wrong with it.
    read: HashMap<Utf8PathBuf, Result<Rc<ReadModule>, String>>,
    plan: WeakPlan,
}

/// A kernel that links are planned for.
struct Target {
    release: Release,
    tree: ReleaseTree,
    /// Its modules outside of `kernel` and of weak-updates, by name.
    own: BTreeMap<String, Utf8PathBuf>,
    links: Vec<ExistingLink>,
}

impl Target {
    fn read(modules: &Modules, release: &Release) -> Result<Self> {
        let tree = ReleaseTree::scan(modules.system(), release)?;
        let links = modules.links(release);
        let dir = TargetSystem::relative_dir(release);
        let is_link = |path: &Utf8Path| {
            let path = modules.system().path(&dir).join(path);
            links.iter().any(|link| link.link == path)
        };
        let own = tree.files().filter(|path| !path.starts_with("kernel") && !is_link(path));
        let own = own.filter_map(|path| Some((name::of_file(path.file_name()?)?, path.to_owned())));
        let own = own.collect();
        Ok(Self { release: release.clone(), own, tree, links })
    }
}

/// What is offered to a kernel: modules, each with the number of its package.
type Proposal = Vec<(usize, Extra)>;

impl Planning<'_> {
    fn add_kernel(&mut self, kernel: &Release) -> Result<()> {
        self.modules.require(kernel)?;
        let target = Target::read(self.modules, kernel)?;
        let others = packages(&self.modules.extras_of_others(kernel), 0);
        self.settle(target, &[], &others)
    }

    fn add_modules(&mut self, named: &[Extra]) -> Result<()> {
        for extra in named {
            // One that is not there is a mistake of who names it.
            let file = self.modules.file(extra);
            if !file.is_file() {
                Module::read(&file).or_fail()?;
            }
        }
        for kernel in self.modules.kernels() {
            let foreign: Vec<Extra> = named.iter().filter(|extra| extra.release != kernel).cloned().collect();
            let target = Target::read(self.modules, &kernel)?;
            let first = packages(&foreign, 0);
            let rest = packages(&self.importers(&kernel, named), first.len());
            self.settle(target, &first, &rest)?;
        }
        Ok(())
    }

    /// Modules in the `extra` directories of other kernels that import from `named`, or from those
    /// that do.
    fn importers(&mut self, kernel: &Release, named: &[Extra]) -> Vec<Extra> {
        let exports = |module: &Module| -> Vec<String> {
            module.exports.iter().map(|export| export.symbol.clone()).collect()
        };
        let read: Vec<_> = named.iter().filter_map(|extra| self.read(extra).ok()).collect();
        let mut given: BTreeSet<String> = read.iter().flat_map(|file| exports(&file.module)).collect();
        if given.is_empty() {
            return Vec::new();
        }
        let mut left: Vec<Extra> = self.modules.extras_of_others(kernel);
        left.retain(|extra| !named.contains(extra));
        let mut importers = Vec::new();
        loop {
            let imports = |file: &ReadModule| file.module.imports.iter().any(|i| given.contains(&i.symbol));
            let found = left.iter().position(|extra| self.read(extra).is_ok_and(|file| imports(&file)));
            let Some(found) = found else { return importers };
            let extra = left.remove(found);
            given.extend(self.read(&extra).iter().flat_map(|file| exports(&file.module)));
            importers.push(extra);
        }
    }

    /// The files of an upgraded package are there when the package before it is removed: links to
    /// them stay.
    fn remove_modules(&mut self, named: &[Extra]) -> Result<()> {
        let (there, gone): (Vec<&Extra>, Vec<&Extra>) =
            named.iter().partition(|extra| self.modules.file(extra).is_file());
        let files: BTreeSet<Utf8PathBuf> = gone.iter().map(|extra| self.modules.file(extra)).collect();
        let of: BTreeSet<&Release> = gone.iter().map(|extra| &extra.release).collect();
        self.plan.kept = there.into_iter().cloned().collect();
        self.remove_leading_to(|link| files.contains(&link.leads), |kernel| of.contains(kernel))
    }

    /// Modules of a package of its own stay when a kernel is removed, and so do the links to them.
    fn remove_kernel(&mut self, kernel: &Release) -> Result<()> {
        let own = self.modules.links(kernel).into_iter();
        let own = own.map(|ExistingLink { link, .. }| LinkChange::Unlink { kernel: kernel.clone(), link });
        self.plan.changes.extend(own);
        let dir = self.modules.top(kernel);
        let dir = dir.canonicalize_utf8().unwrap_or(dir);
        self.remove_leading_to(|link| link.leads.starts_with(&dir) && !link.is_good(), |_| false)
    }

    /// Removes links, and then those to modules that imported from what was linked there, or from
    /// what a kernel `without` it had of its own.
    fn remove_leading_to(
        &mut self,
        wanted: impl Fn(&ExistingLink) -> bool,
        without: impl Fn(&Release) -> bool,
    ) -> Result<()> {
        let planned: BTreeSet<Utf8PathBuf> =
            self.plan.changes.iter().map(|change| change.link().to_owned()).collect();
        for kernel in self.modules.with_links() {
            let links = self.modules.links(&kernel).into_iter();
            let links = links.filter(|link| !planned.contains(&link.link));
            let (removed, left): (Vec<_>, Vec<_>) = links.partition(&wanted);
            let unchanged = removed.is_empty() && !without(&kernel);
            let unlink = |ExistingLink { link, .. }| LinkChange::Unlink { kernel: kernel.clone(), link };
            self.plan.changes.extend(removed.into_iter().map(unlink));
            if !unchanged && self.modules.require(&kernel).is_ok() {
                let target = Target { links: left, ..Target::read(self.modules, &kernel)? };
                self.settle(target, &[], &[])?;
            }
        }
        Ok(())
    }

    /// Plans the links of one kernel: `first` is preferred to what is linked, that to the `rest`.
    fn settle(&mut self, target: Target, first: &[(usize, Extra)], rest: &[(usize, Extra)]) -> Result<()> {
        if first.is_empty() && rest.is_empty() && target.links.is_empty() {
            return Ok(());
        }
        let known = KnownKernel::of(self.context, self.modules.system(), &target.release, &target.tree)?;
        if known.symvers.is_none() {
            self.plan.unknown.push(target.release);
            return Ok(());
        }
        let mut table = Table { first_link: first.len() + rest.len(), ..Table::default() };
        self.offer(&target, first, &mut table);
        self.offer_links(&target, &mut table);
        self.offer(&target, rest, &mut table);
        let Some(kernel) = self.kernel(&known, &target, &table) else { return Ok(()) };
        let judged = judgement::judge(&kernel, &table.offers);
        self.decide(&target, &table, &judged);
        Ok(())
    }

    /// The kernel with the modules of its own. One that has none of those that came with it demands
    /// what a module that is offered has.
    fn kernel(&self, known: &KnownKernel, target: &Target, table: &Table) -> Option<LoadTarget> {
        let any = || Some(&table.offers.values().flatten().next()?.file.module);
        let own = known.own.as_ref().map(|own| &own.module).or_else(any)?;
        let mut kernel = known.target(own);
        let dir = self.modules.system().path(TargetSystem::relative_dir(&target.release));
        let files = target.own.values().filter_map(|file| NamedModule::read(&dir.join(file)).ok());
        let added: Vec<NamedModule> = files.collect();
        kernel.also(added.iter().map(|file| &file.module));
        let packed = table.offers.values().flatten().any(|offer| offer.file.packing.is_some());
        let kmod = packed.then(|| kmod::of_host(&self.context.report)).flatten();
        Some(kernel.with_kmod(kmod))
    }

    fn offer(&mut self, target: &Target, proposal: &[(usize, Extra)], table: &mut Table) {
        for (package, extra) in proposal {
            let why = match (target.own.get(&extra.name()), self.read(extra)) {
                (Some(file), _) => WhyNot::Own { file: file.clone() },
                (None, Err(reason)) => WhyNot::Damaged { reason },
                (None, Ok(file)) => {
                    let link = self.modules.link(&target.release, extra);
                    table.add(extra.name(), file, *package, link, self.modules.file(extra));
                    continue;
                }
            };
            self.not_linked(target, extra.seen(), vec![why]);
        }
    }

    /// The links that are there are offered as they are; of two with one name only the first is
    /// judged, and the other left alone.
    fn offer_links(&mut self, target: &Target, table: &mut Table) {
        for link in &target.links {
            let seen = self.modules.seen(&link.leads);
            if !link.is_good() {
                self.not_linked(target, seen, vec![WhyNot::Gone]);
                continue;
            }
            if table.links.contains_key(&link.name()) {
                continue;
            }
            match self.read_file(&link.leads, seen.clone()) {
                Ok(file) => table.add_link(link, file),
                Err(reason) => self.not_linked(target, seen, vec![WhyNot::Damaged { reason }]),
            }
        }
    }

    /// Turns the judgement into changes. A link that leads nowhere goes, unless another takes its
    /// place.
    fn decide(&mut self, target: &Target, table: &Table, judged: &Judged) {
        for (name, places) in &table.places {
            let taken = judged.taken.get(name).map(|at| &places[*at]);
            let existing = table.links.get(name);
            if let Some(place) = taken {
                self.link(target, place, existing);
            } else if let Some(existing) = existing {
                self.unlink(target, existing);
            }
            for (at, place) in places.iter().enumerate() {
                let why = judged.refused.get(&(name.clone(), at)).cloned();
                let other =
                    || taken.map(|taken| vec![WhyNot::Other { file: self.modules.seen(&taken.file) }]);
                if taken.is_none_or(|taken| taken.file != place.file)
                    && let Some(why) = why.or_else(other)
                {
                    self.not_linked(target, self.modules.seen(&place.file), why);
                }
            }
        }
        for gone in target.links.iter().filter(|link| !link.is_good()) {
            if self.plan.changes.iter().all(|change| change.link() != gone.link) {
                self.unlink(target, gone);
            }
        }
    }

    fn link(&mut self, target: &Target, place: &Place, existing: Option<&ExistingLink>) {
        let written = Modules::written(&place.link, &place.file);
        if let Some(existing) = existing {
            let (same, there) = (existing.leads == place.file, existing.link == place.link);
            // An absolute link is as good on the system itself, but a depmod that is told of
            // another `/` follows it to the machine's own.
            let found = existing.written == written || self.modules.system().is_host();
            if same && found {
                return;
            }
            if !there && !same {
                self.unlink(target, existing);
            }
        }
        // A link that stays in its own place, rewritten.
        let link = match existing {
            Some(existing) if existing.leads == place.file => existing.link.clone(),
            _ => place.link.clone(),
        };
        self.plan.changes.push(LinkChange::Link {
            kernel: target.release.clone(),
            written: Modules::written(&link, &place.file),
            target: self.modules.seen(&place.file),
            link,
        });
    }

    fn unlink(&mut self, target: &Target, existing: &ExistingLink) {
        let (kernel, link) = (target.release.clone(), existing.link.clone());
        self.plan.changes.push(LinkChange::Unlink { kernel, link });
    }

    fn not_linked(&mut self, target: &Target, module: Utf8PathBuf, reasons: Vec<WhyNot>) {
        self.plan.not_linked.push(NotLinked { kernel: target.release.clone(), module, reasons });
    }

    /// Notes kernels that depmod has not run for since a link was made or removed.
    fn note_stale(&mut self) {
        for kernel in self.modules.kernels() {
            let dir = self.modules.top(&kernel);
            let dep = fs_err::read_to_string(dir.join("modules.dep")).unwrap_or_default();
            let links = self.modules.links(&kernel);
            if is_stale(&dep, &links, |file| dir.join(file).symlink_metadata().is_ok()) {
                self.plan.stale.insert(kernel);
            }
        }
    }

    fn read(&mut self, extra: &Extra) -> Result<Rc<ReadModule>, String> {
        let file = self.modules.file(extra);
        self.read_file(&file, extra.seen())
    }

    fn read_file(&mut self, file: &Utf8Path, seen: Utf8PathBuf) -> Result<Rc<ReadModule>, String> {
        let read = || {
            let file = ModuleFile::read(file)?;
            Ok(Rc::new(ReadModule { seen, module: file.module()?, packing: file.packing }))
        };
        let read = || read().map_err(|error: FileError| error.problem.to_string());
        self.read.entry(file.to_owned()).or_insert_with(read).clone()
    }
}

/// Where an offer is, and where its link would be.
#[derive(Clone, Debug)]
struct Place {
    link: Utf8PathBuf,
    file: Utf8PathBuf,
}

/// What is offered to a kernel, and where each offer is: by name, in the same order.
#[derive(Default)]
struct Table {
    offers: Offers,
    places: BTreeMap<String, Vec<Place>>,
    /// The links that are there, by name.
    links: BTreeMap<String, ExistingLink>,
    /// The first number that no package has.
    first_link: usize,
}

impl Table {
    /// Adds an offer, unless it is offered already.
    fn add(
        &mut self,
        name: String,
        file: Rc<ReadModule>,
        package: usize,
        link: Utf8PathBuf,
        at: Utf8PathBuf,
    ) {
        let places = self.places.entry(name.clone()).or_default();
        if places.iter().all(|place| place.file != at) {
            places.push(Place { link, file: at });
            self.offers.entry(name).or_default().push(Offer { file, package });
        }
    }

    /// Each link that is there is on its own.
    fn add_link(&mut self, link: &ExistingLink, file: Rc<ReadModule>) {
        let package = self.first_link + self.links.len();
        self.links.insert(link.name(), link.clone());
        self.add(link.name(), file, package, link.link.clone(), link.leads.clone());
    }
}

/// Whether a modules.dep lacks a module that is linked, or lists a link that is not `there`.
fn is_stale(dep: &str, links: &[ExistingLink], there: impl Fn(&str) -> bool) -> bool {
    let files: Vec<&str> = dep.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let names: BTreeSet<String> =
        files.iter().filter_map(|file| name::of_file(file.rsplit('/').next()?)).collect();
    links.iter().any(|link| link.is_good() && !names.contains(&link.name()))
        || files.iter().any(|file| file.starts_with("weak-updates/") && !there(file))
}

/// Numbers modules by what they belong to: those of one directory to one package. Directly in
/// `extra` each is on its own, as there everybody's are.
fn packages(extras: &[Extra], from: usize) -> Proposal {
    let mut known: Vec<(&Release, &Utf8Path)> = Vec::new();
    let mut numbered = Vec::new();
    for extra in extras {
        let dir = extra.path.parent().filter(|dir| *dir != "").unwrap_or(&extra.path);
        let key = (&extra.release, dir);
        let at = known.iter().position(|other| *other == key).unwrap_or_else(|| {
            known.push(key);
            known.len() - 1
        });
        numbered.push((from + at, extra.clone()));
    }
    numbered
}
