// SPDX-License-Identifier: GPL-2.0
//! Finds the kernels that selectors mean: in the archive, and on this machine.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use kernel::asked::AskedKernel;
use kernel::context::Context;
use kernel::discover::{self, KernelFacts};
use kernel::distribution::{Age, Archive, ArchiveKernel, known};
use kernel::failures::OrFail as _;
use kernel::kdir::Kdir;
use kernel::origin::Origin;
use kernel::prepare::Rust;
use kernel::sanitizing;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;

use crate::kernel_selector::{KernelPlace, KernelSelector};
use crate::plan::PlannedKernel;

/// So many digits of a hash tell what a kernel was prepared from.
const DIGITS: usize = 16;

/// Where kernels are looked for that the current releases do not have.
const ELSEWHERE: [Age; 2] = [Age::Next, Age::Old];

/// The kernels that selectors mean.
#[derive(Clone, Debug, Default)]
pub struct FoundKernels {
    /// All of them, each once, in the order in which they are meant first.
    pub all: Vec<PlannedKernel>,
    /// Which of them a selector means, by its text.
    by: HashMap<String, Vec<Release>>,
}

impl FoundKernels {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// Missing, if one of the selectors means none.
    pub fn of<'a>(context: &Context, selectors: impl Iterator<Item = &'a KernelSelector>) -> Result<Self> {
        let selectors: Vec<&KernelSelector> = selectors.collect();
        let mut search = Search { context, looked: BTreeMap::new() };
        let mut found = Self::default();
        for selector in selectors {
            if found.by.contains_key(&selector.text) {
                continue;
            }
            let mut kernels = search.find(selector)?;
            if selector.sanitize {
                kernels = kernels.into_iter().map(twin).collect::<Result<_>>()?;
            }
            found.add(&selector.text, kernels);
        }
        Ok(found)
    }

    fn add(&mut self, text: &str, kernels: Vec<PlannedKernel>) {
        let releases = kernels.iter().map(|kernel| kernel.release.clone()).collect();
        self.by.insert(text.to_owned(), releases);
        for kernel in kernels {
            if !self.all.iter().any(|known| known.release == kernel.release) {
                self.all.push(kernel);
            }
        }
    }

    /// Those that selectors mean, each once, in their order.
    pub(super) fn meant<'a>(&'a self, selectors: &'a [KernelSelector]) -> Vec<&'a PlannedKernel> {
        let mut meant: Vec<&PlannedKernel> = Vec::new();
        for release in selectors.iter().filter_map(|selector| self.by.get(&selector.text)).flatten() {
            let kernel = self.all.iter().find(|kernel| kernel.release == *release);
            meant.extend(kernel.filter(|kernel| !meant.iter().any(|there| there.release == kernel.release)));
        }
        meant
    }
}

/// Kernels of one part of an archive, as [`Age`] has them.
type Looked = BTreeMap<(Architecture, usize), Vec<PlannedKernel>>;

struct Search<'a> {
    context: &'a Context,
    looked: Looked,
}

impl Search<'_> {
    fn find(&mut self, selector: &KernelSelector) -> Result<Vec<PlannedKernel>> {
        let mut found = match selector.place {
            Some(place) => self.on_this_machine(place)?,
            None => match selector.exact() {
                Some(release) => vec![self.exact(release, selector)?],
                None => self.in_archives(selector)?,
            },
        };
        found.retain(|kernel| {
            let architecture = selector.architecture.is_none_or(|wanted| wanted == kernel.architecture);
            architecture && selector.takes(kernel.release.as_str(), kernel.suite.as_deref().unwrap_or(""))
        });
        if let Some(newest) = selector.newest {
            found = newest_of(found, newest, selector.release.is_some() || selector.place.is_some());
        }
        found.iter_mut().for_each(|kernel| self.as_prepared(kernel));
        if found.is_empty() {
            return Err(Failure::missing(selector.to_string(), "means no kernel that there is")
                .remedy("cargo kmod kernel list --all")
                .into());
        }
        Ok(found)
    }

    /// What is prepared is built for, whatever the archive has by now.
    fn as_prepared(&self, kernel: &mut PlannedKernel) {
        let kdir = Kdir::open(&self.context.cache, &kernel.release);
        if let Some(Origin::Archive { version: Some(version), .. }) =
            kdir.map(|kdir| kdir.stamp().origin.clone())
        {
            kernel.identity = version;
        }
    }

    fn on_this_machine(&mut self, place: KernelPlace) -> Result<Vec<PlannedKernel>> {
        let asked = match place {
            KernelPlace::Installed => AskedKernel::Installed,
            KernelPlace::Running => AskedKernel::Running,
            KernelPlace::Prepared => {
                let mut kdirs = Kdir::all(&self.context.cache, &self.context.report);
                // Those that find faults are asked for by a word of their own.
                kdirs.retain(|kdir| !matches!(kdir.stamp().origin, Origin::Sanitizing { .. }));
                return Ok(kdirs.iter().map(prepared).collect());
            }
        };
        let release = asked.resolve(self.context, Rust::Optional)?;
        let kdir = Kdir::open(&self.context.cache, &release);
        let none = || Failure::missing(release.as_str(), "is not ready to be built for");
        Ok(vec![kdir.as_ref().map(prepared).ok_or_else(none)?])
    }

    /// A kernel that is named: prepared, whose packages are known, or from an archive.
    fn exact(&mut self, release: &str, selector: &KernelSelector) -> Result<PlannedKernel> {
        let release: Release = release.parse().or_fail()?;
        if let Some(of) = sanitizing::stands_for(&release) {
            return twin(self.exact(of.as_str(), selector)?);
        }
        let kdir = Kdir::open(&self.context.cache, &release);
        if let Some(kernel) = kdir.as_ref().map(prepared).filter(|kernel| kernel.suite.is_none()) {
            return Ok(kernel);
        }
        if let Some(kdir) = &kdir
            && let Origin::Archive { version: Some(_), .. } = kdir.stamp().origin
        {
            return Ok(prepared(kdir));
        }
        let architecture = known::usual().architecture_of(&release).or(selector.architecture);
        let architecture = architecture.or_else(Architecture::native).unwrap_or_default();
        for age in 0..=ELSEWHERE.len() {
            // A part that was never looked at is left out where there is no network.
            let kernels = match self.look(architecture, age) {
                Ok(kernels) => kernels,
                Err(_) if age > 0 || kdir.is_some() => continue,
                Err(error) => return Err(error),
            };
            if let Some(kernel) = kernels.iter().find(|kernel| kernel.release == release) {
                return Ok(kernel.clone());
            }
        }
        match kdir {
            Some(kdir) => Ok(prepared(&kdir)),
            None => Err(discover::named(self.context, &release).err().unwrap_or_else(|| {
                Failure::missing(release.as_str(), "is in no part of the archive").into()
            })),
        }
    }

    fn in_archives(&mut self, selector: &KernelSelector) -> Result<Vec<PlannedKernel>> {
        let native = || Architecture::native().unwrap_or_default();
        let architecture = selector.architecture.unwrap_or_else(native);
        let fits = |kernel: &&PlannedKernel| {
            selector.takes(kernel.release.as_str(), kernel.suite.as_deref().unwrap_or(""))
        };
        for age in 0..=ELSEWHERE.len() {
            // What is tried out, or is of a previous release, is only meant by what fits no other.
            if age > 0 && selector.release.is_none() && selector.suite.is_none() {
                break;
            }
            let Ok(kernels) = self.look(architecture, age).or_else(|error| match age {
                0 => Err(error),
                _ => Ok(Vec::new()),
            }) else {
                break;
            };
            let found: Vec<PlannedKernel> = kernels.iter().filter(fits).cloned().collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        // That there is no archive to look in is the reason that counts.
        self.look(architecture, 0).map(|_| Vec::new())
    }

    /// The kernels of one part, newest first.
    fn look(&mut self, architecture: Architecture, age: usize) -> Result<Vec<PlannedKernel>> {
        if let Some(known) = self.looked.get(&(architecture, age)) {
            return Ok(known.clone());
        }
        known::ensure_programs(self.context)?;
        let wanted = if age == 0 { Age::Current } else { ELSEWHERE[age - 1] };
        let archive = known::usual().archive_for(self.context, wanted, architecture)?;
        let kernels = archive.kernels();
        archive.fetch_configs(&kernels)?;
        let found = kernels.iter().map(|kernel| of_archive(&*archive, kernel)).collect::<Result<Vec<_>>>()?;
        self.looked.insert((architecture, age), found.clone());
        Ok(found)
    }
}

fn of_archive(archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<PlannedKernel> {
    Ok(PlannedKernel {
        release: kernel.release.clone(),
        stands_for: None,
        architecture: archive.architecture(),
        suite: Some(kernel.suite().to_owned()),
        identity: kernel.version().to_owned(),
        rust: KernelFacts::of(&archive.config(kernel)?).rust,
    })
}

/// A kernel as it was prepared. Its suite is known of one of an archive only.
fn prepared(kdir: &Kdir) -> PlannedKernel {
    let stamp = kdir.stamp();
    let (suite, version) = match &stamp.origin {
        Origin::Archive { suite, version } => (Some(suite.clone()), version.clone()),
        _ => (None, None),
    };
    let made_of = || stamp.inputs.chars().take(DIGITS).collect();
    PlannedKernel {
        release: stamp.release.clone(),
        stands_for: None,
        architecture: stamp.architecture,
        suite,
        identity: version.unwrap_or_else(made_of),
        rust: stamp.has_rust(),
    }
}

/// The kernel that stands for another one and finds faults.
fn twin(kernel: PlannedKernel) -> Result<PlannedKernel> {
    if kernel.stands_for.is_some() {
        return Ok(kernel);
    }
    let release = sanitizing::standing_for(&kernel.release).or_fail()?;
    Ok(PlannedKernel { release, stands_for: Some(kernel.release.clone()), ..kernel })
}

/// Of kernels, newest first, the first `count` of each flavour; where flavours were not `chosen`,
/// of the one that is the default.
fn newest_of(kernels: Vec<PlannedKernel>, count: usize, chosen: bool) -> Vec<PlannedKernel> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut take = |kernel: &PlannedKernel| {
        let flavour = kernel.release.flavour();
        if !chosen && flavour != known::usual().default_flavour(kernel.architecture) {
            return false;
        }
        let taken = counts.entry(flavour.to_owned()).or_default();
        *taken += 1;
        *taken <= count
    };
    kernels.into_iter().filter(|kernel| take(kernel)).collect()
}

/// The kernels that the archive has in any of its parts, newest first: what a later look compares
/// an earlier one with.
///
/// # Errors
///
/// If the part with the current releases cannot be looked at.
pub fn everywhere(context: &Context, architecture: Architecture) -> Result<Vec<PlannedKernel>> {
    let mut search = Search { context, looked: BTreeMap::new() };
    let current = search.look(architecture, 0)?;
    // What is tried out is newer than all else.
    let mut all = search.look(architecture, 1).unwrap_or_default();
    all.extend(current);
    Ok(all)
}
