// SPDX-License-Identifier: GPL-2.0
//! Prepares a kernel for building modules against it; a kernel with Rust for modules in Rust.
//!
//! A prepared kernel is kept in the cache, with a fingerprint of what it was made from.

use std::sync::Arc;

use anyhow::Result;
use camino::Utf8Path;

use crate::artefacts::SuppliedArtefacts;
use crate::context::Context;
use crate::discover;
use crate::distribution::{Age, Archive, ArchiveKernel, Parts, known};
use crate::failures::OrFail as _;
use crate::kconfig::{KconfigOptions, NotTaken};
use crate::kdir::{Kdir, erase, lock_name, supply_of};
use crate::machine::facts;
use crate::make::require_path;
use crate::making::Making;
use crate::origin::Origin;
use crate::root::{Root, RootChoice};
use crate::sanitizing;
use crate::sanitizing::making::{self, SanitizingKernel};
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::cache::{Cache, Lock};
use report::failure::{Exit, Failure};
use report::fingerprint::Fingerprint;

/// Changes when the way of preparing does, so that older trees are made anew.
const REVISION: u32 = 4;

/// A kernel that is ready, and the root to build in.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The tree.
    pub kdir: Kdir,
    /// Where its compilers are.
    pub root: Root,
    /// Keeps the kernel from being removed meanwhile.
    _used: Arc<Lock>,
}

impl Prepared {
    /// A kernel with its root; `used` keeps it.
    pub(crate) fn new(kdir: Kdir, root: Root, used: Arc<Lock>) -> Self {
        Self { kdir, root, _used: used }
    }

    /// The same kernel, with a build root that has these packages of its distribution as well.
    ///
    /// # Errors
    ///
    /// A usage error, if a name is not a valid package name.
    pub fn with_packages(self, context: &Context, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(self);
        }
        let recipe = self.kdir.stamp().recipe.clone().with(names);
        if recipe.is_host() {
            return Ok(Self { root: Root::provide(context, &recipe, RootChoice::Made)?, ..self });
        }
        let distribution = known::named(&recipe.distribution)?;
        if let Some(name) = names.iter().find(|name| !distribution.is_package_name(name)) {
            let reason = format!("invalid package name for {}", distribution.name());
            return Err(Failure::usage(format!("--package {name}"), reason).into());
        }
        Ok(Self { root: Root::provide(context, &recipe, RootChoice::Made)?, ..self })
    }
}

/// Whether what is to be built is in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rust {
    /// A kernel without Rust is refused.
    Needed,
    /// Any kernel will do; one that has Rust is prepared with it all the same.
    Optional,
}

/// The kernel of this release with a build root that has `packages` as well, if both are there
/// without making anything.
pub fn made(
    context: &Context,
    release: &Release,
    choice: RootChoice,
    packages: &[String],
) -> Result<Option<Prepared>> {
    let Some(kdir) = Kdir::open(&context.cache, release) else { return Ok(None) };
    let recipe = kdir.stamp().recipe.clone().with(packages);
    let choice = if packages.is_empty() { choice } else { RootChoice::Made };
    let Some(root) = Root::made(context, &recipe, choice)? else { return Ok(None) };
    kdir.mark_used();
    Ok(Some(Prepared { kdir, root, _used: use_of(context, release)? }))
}

/// Prepares `kernel` for modules in Rust: takes it from the cache, or makes it while other runs
/// wait. Says so when there was nothing to do.
pub fn prepare(
    context: &Context,
    archive: &dyn Archive,
    kernel: &ArchiveKernel,
    choice: RootChoice,
) -> Result<Prepared> {
    prepare_for(context, archive, kernel, choice, Rust::Needed, None)
}

/// The same with these artefacts, instead of making them, once they are proven.
///
/// # Errors
///
/// Refused, if they are not for this kernel, its compiler and this machine.
pub fn prepare_from(
    context: &Context,
    archive: &dyn Archive,
    kernel: &ArchiveKernel,
    choice: RootChoice,
    supply: &SuppliedArtefacts,
) -> Result<Prepared> {
    require_native(archive, &supply.source)?;
    prepare_for(context, archive, kernel, choice, Rust::Needed, Some(supply))
}

fn prepare_for(
    context: &Context,
    archive: &dyn Archive,
    kernel: &ArchiveKernel,
    choice: RootChoice,
    rust: Rust,
    given: Option<&SuppliedArtefacts>,
) -> Result<Prepared> {
    Kdir::require_unchanged(&context.cache, &kernel.release)?;
    let config = archive.config(kernel)?;
    require_architecture(&kernel.release, archive.architecture(), &config)?;
    if rust == Rust::Needed {
        require_rust(archive, kernel, &config)?;
    }
    let place = Kdir::place_of(&context.cache, &kernel.release);
    require_path(&place, "move the cache: export XDG_CACHE_HOME=/some/directory")?;
    let parts = archive.parts(kernel)?;
    let recipe = archive.recipe(kernel, &config);
    if Kdir::open(&context.cache, &kernel.release).is_none() {
        facts::require_space(&context.cache, facts::NEEDED, "a kernel with its build root needs")?;
    }
    let root = Root::provide(context, &recipe, choice)?;
    let making = Making {
        context,
        archive,
        kernel,
        root: &root,
        recipe: &recipe,
        parts: &parts,
        inputs: inputs(&parts, &root, None),
        rust: config.is_yes("CONFIG_RUST"),
        supply: None,
    };
    let fresh = || {
        let kdir = Kdir::open(&context.cache, &kernel.release)?;
        let used = supply_in(&kdir);
        let wanted = given.is_none_or(|given| used.as_ref() == Some(&given.identity()));
        (wanted && kdir.stamp().inputs == inputs(&parts, &root, used.as_deref())).then_some(kdir)
    };
    let make = || match given {
        Some(supply) => with(&making, supply).run(),
        None => find_or_make(&making),
    };
    made_once(context, &kernel.release, &root, fresh, make)
}

/// The kernel of this release: the one in the cache that `fresh` gives, or made now by one run
/// while others wait.
fn made_once(
    context: &Context,
    release: &Release,
    root: &Root,
    fresh: impl Fn() -> Option<Kdir>,
    make: impl Fn() -> Result<()>,
) -> Result<Prepared> {
    let mut made = false;
    loop {
        let used = use_of(context, release)?;
        if let Some(kdir) = fresh() {
            if !made {
                context.report.note("Fresh", &format!("kernel {release}"));
            }
            kdir.mark_used();
            return Ok(Prepared { kdir, root: root.clone(), _used: used });
        }
        drop(used);
        let _lock = context.cache.lock(&lock_name(release), &context.report)?;
        if fresh().is_none() {
            make()?;
        }
        made = true;
    }
}

/// What is to be made, with these artefacts.
fn with<'a>(making: &Making<'a>, supply: &'a SuppliedArtefacts) -> Making<'a> {
    let inputs = inputs(making.parts, making.root, Some(&supply.identity()));
    Making { inputs, supply: Some(supply), ..making.clone() }
}

/// Makes the tree with artefacts that are found; where there are none, or they fail the proof, they
/// are made.
fn find_or_make(making: &Making<'_>) -> Result<()> {
    let found = if making.rust { find_supply(making) } else { None };
    if let Some(supply) = found {
        match with(making, &supply).run() {
            Ok(()) => return Ok(()),
            Err(error) => instead(making.context, &error),
        }
    }
    making.run()
}

/// Says what is wrong with artefacts that nobody asked for.
fn instead(context: &Context, error: &anyhow::Error) {
    context.report.warn(&format!("{error:#}; the artefacts are made instead"));
}

/// Artefacts for this kernel that are installed, or that are in a source of packages of the host's.
fn find_supply(making: &Making<'_>) -> Option<SuppliedArtefacts> {
    let &Making { context, archive, kernel, .. } = making;
    let release = &kernel.release;
    require_native(archive, release.as_str()).ok()?;
    let fits = |supply: SuppliedArtefacts| -> Result<SuppliedArtefacts> {
        let symvers = archive.symvers(kernel)?;
        supply.manifest.require_kernel(release, kernel.version(), &symvers, &supply.source)?;
        Ok(supply)
    };
    let installed = || SuppliedArtefacts::installed(Utf8Path::new("/"), release);
    let offered = || known::named(&making.recipe.distribution)?.offered_artefacts(release, &context.report);
    let sources: [&dyn Fn() -> Result<Option<SuppliedArtefacts>>; 2] = [&installed, &offered];
    sources.into_iter().find_map(|look| {
        let found = look().and_then(|supply| supply.map(fits).transpose());
        found.inspect_err(|error| instead(context, error)).ok().flatten()
    })
}

/// Refuses a kernel from `origin` where one of the same release came from elsewhere: a release is
/// all that a kernel is called by.
pub(crate) fn require_origin(cache: &Cache, release: &Release, origin: &Origin) -> Result<(), Failure> {
    // Of an installed one there is nothing but its stamp, which is made again as quickly.
    let differs = |kdir: &Kdir| !kdir.is_installed() && !kdir.stamp().origin.is_of_the_same_kind(origin);
    let other = Kdir::open(cache, release).filter(differs);
    let Some(other) = other else { return Ok(()) };
    let reason =
        format!("a kernel of this release is prepared already, and it is from {}", other.stamp().origin);
    Err(Failure::refused(release.as_str(), reason).remedy(format!(
        "cargo kmod kernel remove {release}; or give this one a name of its own: --localversion"
    )))
}

/// Prepares the sanitizing kernel that stands for `of`: takes it from the cache, or builds it.
pub fn prepare_sanitizing(
    context: &Context,
    archive: &dyn Archive,
    of: &ArchiveKernel,
    rust: Rust,
) -> Result<Prepared> {
    let config = archive.config(of)?;
    if rust == Rust::Needed {
        require_rust(archive, of, &config)?;
    }
    let release = sanitizing::standing_for(&of.release).or_fail()?;
    let place = Kdir::place_of(&context.cache, &release);
    require_path(&place, "move the cache: export XDG_CACHE_HOME=/some/directory")?;
    require_origin(&context.cache, &release, &Origin::Sanitizing { of: of.release.clone() })?;
    let recipe = archive.recipe_with_clang(of, &config);
    if Kdir::open(&context.cache, &release).is_none() {
        facts::require_space(&context.cache, facts::NEEDED, "a kernel with its build root needs")?;
    }
    // The compilers of the distribution, never those of this machine.
    let root = Root::provide(context, &recipe, RootChoice::Made)?;
    let inputs = inputs_of_sanitizing(archive, of, &root)?;
    let making = SanitizingKernel {
        context,
        archive,
        of,
        release: &release,
        root: &root,
        recipe: &recipe,
        inputs: inputs.clone(),
    };
    let fresh = || Kdir::open(&context.cache, &release).filter(|kdir| kdir.stamp().inputs == inputs);
    made_once(context, &release, &root, fresh, || making.run())
}

/// Refuses to look in the archive for a kernel that was made from a source of the user's: what is
/// wrong with it is wrong here.
///
/// # Errors
///
/// Refused, if the kernel of this release was made so: it has lost a file, or has no Rust.
pub fn require_from_archive(cache: &Cache, release: &Release) -> Result<()> {
    let Some(Origin::Source { source, .. }) = Kdir::origin_of(cache, release) else { return Ok(()) };
    let again =
        format!("cargo kmod kernel prepare --source {source}, with the options that it was prepared with");
    if let Some(file) = Kdir::lost(cache, release) {
        let reason = format!("its tree has lost {file}, and it is not from the archive");
        return Err(Failure::refused(release.as_str(), reason).remedy(again).into());
    }
    let Some(kdir) = Kdir::open(cache, release) else { return Ok(()) };
    if kdir.stamp().rust_symbols > 0 {
        let reason = format!("is from source ({source}), not from the archive, and prepared already");
        return Err(Failure::refused(release.as_str(), reason).remedy(again).into());
    }
    let options = KconfigOptions::of_source(&kdir.source(), kdir.stamp().architecture)?;
    let why = match options.why_not("CONFIG_RUST", &kdir.config()?) {
        NotTaken::Needs(parts) if !parts.is_empty() => format!("; it needs {}", parts.join(" and ")),
        _ => String::new(),
    };
    let reason = format!("CONFIG_RUST is not set in this kernel, so it cannot load modules in Rust{why}");
    Err(Failure::refused(release.as_str(), reason).remedy(format!("{again}, and CONFIG_RUST=y")).into())
}

pub(crate) fn use_of(context: &Context, release: &Release) -> Result<Arc<Lock>> {
    Ok(Arc::new(context.cache.share(&lock_name(release), &context.report)?))
}

/// The kernel of this release, or the default one, prepared if necessary. A named kernel that is
/// prepared needs no archive.
pub fn provide(context: &Context, release: Option<&Release>, choice: RootChoice) -> Result<Prepared> {
    provide_for(context, release, choice, Rust::Needed)
}

/// The same for modules that may not be in Rust. The default kernel has Rust in any case.
pub fn provide_for(
    context: &Context,
    release: Option<&Release>,
    choice: RootChoice,
    rust: Rust,
) -> Result<Prepared> {
    let enough = |kdir: &Kdir| rust == Rust::Optional || kdir.stamp().has_rust();
    if let Some(release) = release {
        Kdir::require_unchanged(&context.cache, release)?;
        let used = use_of(context, release)?;
        if let Some(kdir) = Kdir::open(&context.cache, release).filter(enough) {
            let root = Root::provide(context, &kdir.stamp().recipe, choice)?;
            kdir.mark_used();
            return Ok(Prepared { kdir, root, _used: used });
        }
        require_from_archive(&context.cache, release)?;
    }
    let of = release.and_then(sanitizing::stands_for);
    let (archive, kernel) = discover::named_or_default(context, of.as_ref().or(release))?;
    if of.is_some() {
        return prepare_sanitizing(context, &*archive, &kernel, rust);
    }
    prepare_for(context, &*archive, &kernel, choice, rust, None)
}

/// What the kernel of this release is for: as it was prepared, else as its name tells. Without a
/// release, and where its name does not tell, this machine.
pub fn architecture_of(cache: &Cache, release: Option<&Release>) -> Architecture {
    let prepared = release.and_then(|release| Kdir::open(cache, release));
    let named = || release.and_then(|release| known::usual().architecture_of(release));
    let known = prepared.map(|kdir| kdir.stamp().architecture).or_else(named);
    known.or_else(Architecture::native).unwrap_or_default()
}

/// What the artefacts are known by that a kernel was prepared with, if somebody else made them.
fn supply_in(kdir: &Kdir) -> Option<String> {
    fs_err::read_to_string(supply_of(kdir.place())).ok()
}

/// Debian's headers for another architecture hold programs of that.
fn require_native(archive: &dyn Archive, object: &str) -> Result<(), Failure> {
    let (kernel, host) = (archive.architecture(), Architecture::native());
    if host == Some(kernel) {
        return Ok(());
    }
    let reason = format!("is used with the headers of {0}, whose programs run on {0} alone", kernel.debian());
    Err(Failure::refused(object, reason).remedy("leave out --from: then everything is made here"))
}

/// The sanitizing kernel that stands for `of`, or for the default kernel; a name only, nothing is
/// made.
///
/// # Errors
///
/// If there is no default kernel.
pub fn sanitizing_release(context: &Context, of: Option<&Release>) -> Result<Release> {
    let default = || -> Result<Release> {
        let distribution = known::usual();
        let archive = distribution.archive(context, Age::Current)?;
        Ok(discover::default(distribution, &*archive)?.release)
    };
    let of = of.map_or_else(default, |of| Ok(of.clone()))?;
    Ok(sanitizing::standing_for(&of).or_fail()?)
}

/// Refuses a configuration that is for something else than the kernel that it is to be of.
pub(crate) fn require_architecture(
    release: &Release,
    wanted: Architecture,
    config: &Config,
) -> Result<(), Failure> {
    match Architecture::of_config(config) {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(Failure::refused(
            release.as_str(),
            format!("its configuration is for {found}, and the kernel is to be for {wanted}"),
        )
        .remedy(format!("take a configuration for {wanted}, or a kernel for {found}"))),
        None => Err(Failure::refused(
            release.as_str(),
            format!(
                "its configuration is for none of the architectures that are known: {}",
                Architecture::ALL.map(Architecture::debian).join(", ")
            ),
        )
        .remedy("cargo kmod kernel list")),
    }
}

fn require_rust(archive: &dyn Archive, kernel: &ArchiveKernel, config: &Config) -> Result<()> {
    if config.is_yes("CONFIG_RUST") {
        return Ok(());
    }
    let others = discover::with_rust(archive)?;
    let list = others.iter().map(|release| format!("\n    {release}")).collect::<String>();
    Err(Failure::refused(
        kernel.release.as_str(),
        format!(
            "CONFIG_RUST is not set in this kernel, so it cannot load modules in Rust; it is set in:{list}"
        ),
    )
    .remedy(match others.first() {
        Some(newest) => format!("cargo kmod kernel prepare {newest}"),
        None => "cargo kmod kernel list".to_owned(),
    })
    .into())
}

/// The fingerprint of a kernel's inputs as the archive has them now: a prepared kernel with the
/// same was made from just these packages.
pub fn inputs_of(
    cache: &Cache,
    archive: &dyn Archive,
    kernel: &ArchiveKernel,
    root: &Root,
) -> Result<String> {
    let kdir = Kdir::open(cache, &kernel.release);
    Ok(inputs(&archive.parts(kernel)?, root, kdir.as_ref().and_then(supply_in).as_deref()))
}

/// The same of the sanitizing kernel that stands for `of`.
pub fn inputs_of_sanitizing(archive: &dyn Archive, of: &ArchiveKernel, root: &Root) -> Result<String> {
    making::inputs(archive, of, root)
}

/// Hash of everything a prepared kernel depends on.
fn inputs(parts: &Parts<'_>, root: &Root, supply: Option<&str>) -> String {
    let print = Fingerprint::new("kernel", REVISION);
    supply
        .into_iter()
        .fold(print, |print, supply| print.text("artefacts", supply))
        .text("root", root.identity())
        .text("headers", &parts.headers.sha256)
        .text("source", &parts.source.sha256)
        .list("image", parts.image.iter().map(|package| &package.sha256))
        .hex()
}

/// Removes a prepared kernel; with `--dry-run` it says so only. One that was prepared here and is
/// no longer is said to be removed.
///
/// # Errors
///
/// Missing, if it never was.
pub fn remove(context: &Context, release: &Release) -> Result<()> {
    let place = Kdir::place_of(&context.cache, release);
    if !place.exists() {
        if context.cache.has_known(&lock_name(release)) {
            context.report.note("Fresh", &format!("{release} is not prepared, nothing is left to remove"));
            return Ok(());
        }
        return Err(Failure::new(Exit::Missing, release.as_str(), "is not prepared, nor was it")
            .remedy("cargo kmod kernel list")
            .into());
    }
    if context.dry_run {
        context.report.say(&format!("would remove {place}"));
        return Ok(());
    }
    let _lock = context.cache.lock(&lock_name(release), &context.report)?;
    let step = context.report.step("Removing", place.as_str());
    erase(&place)?;
    step.done("Removed", place.as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_for_another_architecture_is_refused_by_name() {
        let release: Release = "7.2.13-arm64".parse().unwrap();
        let check = |text: &str| require_architecture(&release, Architecture::Arm64, &Config::parse(text));
        check("CONFIG_ARM64=y\n").unwrap();
        for (text, said) in [
            ("CONFIG_X86_64=y\n", "its configuration is for amd64, and the kernel is to be for arm64"),
            ("CONFIG_RISCV=y\n", "for none of the architectures that are known: amd64, arm64"),
        ] {
            let failure = check(text).unwrap_err();
            assert_eq!(failure.exit, Exit::Refused);
            assert!(failure.to_string().contains(said), "{failure}");
        }
    }

    #[test]
    fn a_release_that_is_not_prepared_is_for_what_its_name_tells() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(camino::Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        let of = |release: Option<&str>| {
            architecture_of(&cache, release.map(|text| text.parse().unwrap()).as_ref())
        };
        assert_eq!(of(Some("7.2.13+deb14-arm64-16k")), Architecture::Arm64);
        assert_eq!(of(Some("7.2.13+deb14-rt-amd64")), Architecture::Amd64);
        for unknown in [None, Some("7.2.13-mine")] {
            assert_eq!(Some(of(unknown)), Architecture::native());
        }
    }
}
