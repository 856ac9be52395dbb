// SPDX-License-Identifier: GPL-2.0
//! A prepared kernel: the tree modules are built against, and the kernel's own image and modules.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::artefacts;
use crate::disk_usage;
use crate::distribution::recipe::Recipe;
use crate::failures::OrFail as _;
use crate::kept::KeptFile;
use crate::origin::{InstalledTree, Origin};
use crate::root::Access;
use kmodfile::architecture::Architecture;
use kmodfile::config::Config;
use kmodfile::disk::modules_in;
use kmodfile::load::target::LoadTarget;
use kmodfile::module::Module;
use kmodfile::name;
use kmodfile::release::Release;
use report::Report;
use report::cache::Cache;
use report::durable;
use report::failure::{Exit, Failure};

/// What every build takes of a kernel's build tree: `make clean` and `make mrproper` remove some
/// of it.
const NEEDED: &[&str] = &[
    ".config",
    "Makefile",
    "Module.symvers",
    "include/config/auto.conf",
    "include/generated/autoconf.h",
    "include/generated/utsrelease.h",
    "scripts/basic/fixdep",
    "scripts/mod/modpost",
    "scripts/module.lds",
];

/// What every build takes of its source.
const NEEDED_OF_SOURCE: &[&str] = &["Makefile", "scripts/Makefile.build"];

/// What only some kernels have, depending on their line and configuration.
const OF_SOME: &[&str] = &[
    "scripts/genksyms/genksyms",
    "scripts/target.json",
    "tools/bpf/resolve_btfids/resolve_btfids",
    "tools/objtool/objtool",
    "vmlinux",
];

/// The file whose time says when a kernel was last used, below its place.
const USED: &str = "used";

/// A kernel in the cache that is complete and proven.
#[derive(Clone, Debug)]
pub struct Kdir {
    place: Utf8PathBuf,
    stamp: Stamp,
}

/// What a prepared kernel was made of. Written last: a kernel without it is incomplete and never
/// used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its release.
    pub release: Release,
    /// Hash of all inputs: packages, build root, recipe.
    pub inputs: String,
    /// What its build root holds.
    pub recipe: Recipe,
    /// What it is a kernel for.
    pub architecture: Architecture,
    /// Where it comes from.
    pub origin: Origin,
    /// What identifies the programs that made it: its build root.
    #[serde(default)]
    pub tools: String,
    /// Where it was made: the tree knows its own path.
    pub place: Utf8PathBuf,
    /// Exported Rust symbols that were proven equal; 0 for a kernel without Rust.
    pub rust_symbols: usize,
    /// Seconds that making it took, and how many of them make itself.
    pub seconds: f64,
    /// Seconds in the bare `make` steps.
    pub make_seconds: f64,
    /// Bytes that it takes on disk, without a source that others share.
    #[serde(default)]
    pub bytes: u64,
    /// What it had of the files that only some kernels have, below its build tree.
    #[serde(default)]
    pub of_some: Vec<Utf8PathBuf>,
    /// What of its build tree decides what modules become, as it was.
    #[serde(default)]
    pub kept: Vec<KeptFile>,
}

impl Stamp {
    /// Whether modules in Rust can be built against it.
    pub fn has_rust(&self) -> bool {
        self.rust_symbols > 0 || matches!(&self.origin, Origin::Installed(tree) if tree.rust)
    }
}

impl Kdir {
    /// The kernel, as far as loading a module depends on it.
    ///
    /// # Errors
    ///
    /// Missing, if its packages hold no module.
    pub fn target(&self) -> Result<LoadTarget> {
        let symvers = fs_err::read_to_string(self.build().join("Module.symvers"))?;
        let dir = self.modules();
        let files = modules_in(&dir).with_context(|| format!("looking for modules in {dir}"))?;
        let own = files.first().ok_or_else(|| self.incomplete("module"))?;
        let target = LoadTarget::new(&self.config()?, &symvers, &Module::read(own).or_fail()?);
        Ok(target.with_modules(files.iter().filter_map(|file| name::of_file(file.file_name()?)).collect()))
    }

    /// Where a kernel of this release is or will be.
    pub fn place_of(cache: &Cache, release: &Release) -> Utf8PathBuf {
        cache.path("kernels").join(release)
    }

    /// The kernel of this release, if it is prepared and complete.
    pub fn open(cache: &Cache, release: &Release) -> Option<Self> {
        Self::stamped(cache, release).filter(|kdir| kdir.missing().is_none() && kdir.changed().is_none())
    }

    /// Whether an installed kernel of this release was taken as it was, be it as it may be now.
    pub fn was_installed(cache: &Cache, release: &Release) -> bool {
        Self::stamped(cache, release).is_some_and(|kdir| kdir.is_installed())
    }

    /// Refuses a kernel that was prepared here and of which somebody has changed a file since: what
    /// is built against it may not be for the kernel that it stands for. An installed one is not
    /// refused, as its packages may have been replaced; it is proven anew.
    ///
    /// # Errors
    ///
    /// Refused, with the file.
    pub fn require_unchanged(cache: &Cache, release: &Release) -> Result<(), Failure> {
        let kdir = Self::stamped(cache, release).filter(|kdir| !kdir.is_installed());
        let Some(file) = kdir.filter(|kdir| kdir.missing().is_none()).and_then(|kdir| kdir.changed()) else {
            return Ok(());
        };
        let reason = format!("{file} was changed since the kernel was prepared and proven");
        Err(Failure::refused(release.as_str(), reason)
            .remedy(format!("cargo kmod kernel remove {release} && cargo kmod kernel prepare {release}")))
    }

    /// The file that a kernel of this release has lost since it was prepared, if any. Such a kernel
    /// must be prepared again.
    pub fn lost(cache: &Cache, release: &Release) -> Option<Utf8PathBuf> {
        Self::stamped(cache, release)?.missing()
    }

    /// Where the kernel of this release comes from, whether it is complete or not.
    pub(crate) fn origin_of(cache: &Cache, release: &Release) -> Option<Origin> {
        Some(Self::stamped(cache, release)?.stamp.origin)
    }

    fn stamped(cache: &Cache, release: &Release) -> Option<Self> {
        let place = Self::place_of(cache, release);
        let stamp: Stamp = serde_json::from_slice(&fs_err::read(stamp_of(&place)).ok()?).ok()?;
        (stamp.place == place && stamp.release == *release).then_some(Self { place, stamp })
    }

    /// All prepared kernels that are complete.
    pub fn all_quietly(cache: &Cache) -> Vec<Self> {
        let mut kdirs = Self::all_stamped(cache);
        kdirs.retain(|kdir| kdir.missing().is_none() && kdir.changed().is_none());
        kdirs
    }

    fn all_stamped(cache: &Cache) -> Vec<Self> {
        let dir = cache.path("kernels");
        let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| Self::stamped(cache, &entry.file_name().parse().ok()?)).collect()
    }

    /// All prepared kernels. Warns of those that are no longer complete.
    pub fn all(cache: &Cache, report: &Report) -> Vec<Self> {
        let mut kdirs = Self::all_stamped(cache);
        kdirs.retain(|kdir| {
            let wrong = kdir.wrong();
            if let Some((what, again)) = &wrong {
                report.warn(&format!("kernel {} is not used: {what}; {again}", kdir.release()));
            }
            wrong.is_none()
        });
        kdirs
    }

    /// A file that it needs and lacks. Only some twenty files are checked, as this is done before
    /// every build.
    fn missing(&self) -> Option<Utf8PathBuf> {
        let rust = if self.stamp.has_rust() { artefacts::NEEDED } else { &[] };
        let (build, source) = (self.build(), self.source());
        // Some distributions keep the linker's script elsewhere.
        let own = |name: &&&str| self.installed().is_none() || **name != "scripts/module.lds";
        let named = NEEDED.iter().chain(rust).filter(own).map(|name| build.join(name));
        let of_source = NEEDED_OF_SOURCE.iter().map(|name| source.join(name));
        let of_some = self.stamp.of_some.iter().map(|name| build.join(name));
        let index = self.has_modules().then(|| self.modules().join("modules.builtin"));
        // Debian's headers have it beside the rest of the architecture.
        let elsewhere = build.join("arch").join(self.stamp.architecture.source()).join("module.lds");
        let there = |file: &Utf8PathBuf| {
            file.exists() || (file.ends_with("scripts/module.lds") && elsewhere.exists())
        };
        named.chain(of_source).chain(of_some).chain(index).find(|file| !there(file))
    }

    /// A kernel that was just made at the place in `stamp`, which then says what it has of the
    /// files that only some have. It is not written.
    ///
    /// # Errors
    ///
    /// If it was made without what every build needs.
    pub(crate) fn made(mut stamp: Stamp) -> Result<Self> {
        stamp.of_some.clear();
        let mut kdir = Self { place: stamp.place.clone(), stamp };
        let build = kdir.build();
        let there = OF_SOME.iter().filter(|name| build.join(name).exists());
        kdir.stamp.of_some = there.map(Utf8PathBuf::from).collect();
        kdir.stamp.bytes = disk_usage::of([kdir.place.as_path()]);
        kdir.stamp.kept = KeptFile::all(&build)?;
        match kdir.missing() {
            Some(file) => Err(Failure::new(
                Exit::Failed,
                kdir.release().as_str(),
                format!("was prepared without {file}, which every build needs"),
            )
            .remedy("choose another kernel: cargo kmod kernel list")
            .into()),
            None => Ok(kdir),
        }
    }

    /// Whether it has modules of its own: an installed kernel may have headers only, and of one
    /// from source nothing may be compiled.
    fn has_modules(&self) -> bool {
        !matches!(self.stamp.origin, Origin::Installed(_) | Origin::Source { whole: false, .. })
    }

    /// Refuses a kernel from source of which nothing was compiled, where it is to be booted.
    ///
    /// # Errors
    ///
    /// Missing, with how all of it is made.
    pub fn require_whole(&self) -> Result<(), Failure> {
        let in_part = matches!(self.stamp.origin, Origin::Source { whole: false, .. });
        if in_part { Err(self.incomplete("image and no modules")) } else { Ok(()) }
    }

    /// The error for what its packages should have, or all of its source would have been made for.
    fn incomplete(&self, what: &str) -> Failure {
        let release = self.release().as_str();
        match &self.stamp.origin {
            Origin::Source { source, whole: false } => {
                let reason = format!("it was prepared from source, but not made whole: it has no {what}");
                Failure::missing(release, reason).remedy(format!(
                    "cargo kmod kernel prepare --source {source} --full, with the options that it was prepared with"
                ))
            }
            _ => Failure::missing(release, format!("its packages hold no {what}"))
                .remedy(format!("cargo kmod kernel remove {release} && cargo kmod kernel prepare {release}")),
        }
    }

    /// Whether it is known what it exports. Of a kernel from source, of which nothing was compiled,
    /// it is not; then modules can be built all the same, and are not checked.
    ///
    /// # Errors
    ///
    /// Refused, if modules have to carry the CRCs of what it exports.
    pub fn require_exports(&self) -> Result<bool> {
        let known = fs_err::metadata(self.build().join("Module.symvers"))?.len() > 0;
        let Origin::Source { source, .. } = &self.stamp.origin else { return Ok(known) };
        if known || !self.config()?.is_yes("CONFIG_MODVERSIONS") {
            return Ok(known);
        }
        let reason = "a module for it must carry the CRC of each symbol that it uses (CONFIG_MODVERSIONS), and it has no \
                      Module.symvers: make modules_prepare makes none, only a whole build of the kernel does";
        let again = format!("cargo kmod kernel prepare --source {source}, with the same options and --full");
        let remedy = format!(
            "{again}; or with --symvers FILE, the Module.symvers of a whole build of the same kernel"
        );
        Err(Failure::refused(self.release().as_str(), reason).remedy(remedy).into())
    }

    /// A file that decides what modules become, and that was changed since.
    fn changed(&self) -> Option<Utf8PathBuf> {
        let build = self.build();
        let changed = self.stamp.kept.iter().find(|file| file.is_changed(&build))?;
        Some(build.join(changed.path()))
    }

    /// Why it is not used, and what is to be done then.
    fn wrong(&self) -> Option<(String, String)> {
        let wrong = self.wrong_in_place()?;
        let Origin::Source { source, .. } = &self.stamp.origin else { return Some(wrong) };
        let again =
            format!("prepare it again: cargo kmod kernel prepare --source {source}, with the same options");
        Some((wrong.0, again))
    }

    fn wrong_in_place(&self) -> Option<(String, String)> {
        let release = self.release();
        let (installed, again) = (self.is_installed(), format!("cargo kmod build --kernel {release}"));
        if let Some(file) = self.missing() {
            let prepare = format!("prepare it again: cargo kmod kernel prepare {release}");
            let again = if installed { format!("look at it again: {again}") } else { prepare };
            return Some((format!("its tree has lost {file}"), again));
        }
        let file = self.changed()?;
        let anew = format!("cargo kmod kernel remove {release} && cargo kmod kernel prepare {release}");
        let again = if installed { format!("look at it again: {again}") } else { anew };
        Some((format!("{file} was changed since"), again))
    }

    /// Marks it as complete.
    pub(crate) fn write_stamp(&self) -> Result<()> {
        durable::replace(&stamp_of(&self.place), &serde_json::to_vec_pretty(&self.stamp)?)
    }

    /// Counts anew what it takes on disk, once something was laid beside it.
    pub(crate) fn count_again(&self) -> Result<()> {
        let mut counted = self.clone();
        counted.stamp.bytes = disk_usage::of([self.place.as_path()]);
        counted.write_stamp()
    }

    /// Notes that it is used now. A cache that cannot be written to is used all the same.
    pub(crate) fn mark_used(&self) {
        fs_err::write(self.place.join(USED), "").ok();
    }

    /// When it was last used, or else made.
    pub fn last_used(&self) -> SystemTime {
        let times = [self.place.join(USED), stamp_of(&self.place)].into_iter();
        let mut times = times.filter_map(|file| file.metadata().ok()?.modified().ok());
        times.next().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Its directory.
    pub fn place(&self) -> &Utf8Path {
        &self.place
    }

    /// What it was made of.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Its release.
    pub fn release(&self) -> &Release {
        &self.stamp.release
    }

    /// The directory `make -C` takes: `KDIR`.
    pub fn build(&self) -> Utf8PathBuf {
        self.installed().map_or_else(|| build_of(&self.place), |tree| tree.build.clone())
    }

    /// The source it was made of.
    pub fn source(&self) -> Utf8PathBuf {
        let own = source_of(&self.place);
        // It may be one that all flavours share.
        let own = own.read_link_utf8().unwrap_or(own);
        self.installed().map_or(own, |tree| tree.source.clone())
    }

    /// Whether it is this system's own, of which only the stamp is in the cache.
    pub fn is_installed(&self) -> bool {
        self.installed().is_some()
    }

    fn installed(&self) -> Option<&InstalledTree> {
        match &self.stamp.origin {
            Origin::Installed(tree) => Some(tree),
            _ => None,
        }
    }

    /// `access`, and what building modules against it reads.
    #[must_use]
    pub fn read_by(&self, access: Access) -> Access {
        let Some(tree) = self.installed() else { return access.read(&self.place).read(self.source()) };
        let dirs = [&tree.build, &tree.source, &tree.modules].into_iter().chain(&tree.others);
        dirs.fold(access, Access::read)
    }

    /// The kernel whose modules the distribution ships: the one that a sanitizing kernel stands
    /// for, if that is prepared; else, and for any other kernel, itself.
    pub fn stock(&self, cache: &Cache) -> Self {
        let of = match &self.stamp.origin {
            Origin::Sanitizing { of } => Self::open(cache, of),
            _ => None,
        };
        of.unwrap_or_else(|| self.clone())
    }

    /// Its configuration.
    pub fn config(&self) -> Result<Config> {
        Ok(Config::parse(&fs_err::read_to_string(self.build().join(".config"))?))
    }

    /// Its unpacked packages: `/boot`, `/usr/lib/modules`.
    pub fn image(&self) -> Utf8PathBuf {
        image_of(&self.place)
    }

    /// Its own modules: what `/lib/modules/RELEASE` is on a machine that runs it.
    pub fn modules(&self) -> Utf8PathBuf {
        self.installed().map_or_else(|| modules_of(&self.place, self.release()), |tree| tree.modules.clone())
    }

    /// Its bootable image.
    pub fn vmlinuz(&self) -> Result<Utf8PathBuf> {
        let installed = self.installed().and_then(|tree| tree.image.clone());
        let candidates = [
            installed
                .unwrap_or_else(|| image_of(&self.place).join(format!("boot/vmlinuz-{}", self.release()))),
            self.modules().join("vmlinuz"),
        ];
        if let Some(tree) = self.installed() {
            return self.bootable(tree, &candidates);
        }
        candidates.into_iter().find(|file| file.exists()).ok_or_else(|| self.incomplete("vmlinuz").into())
    }

    /// The first of the places of an installed kernel's image that is there, if it can be read.
    fn bootable(&self, tree: &InstalledTree, places: &[Utf8PathBuf]) -> Result<Utf8PathBuf> {
        let release = self.release().as_str();
        let Some(file) = places.iter().find(|file| file.exists()) else {
            let reason = format!(
                "cannot be booted: there is neither /boot/vmlinuz-{release} nor {}/vmlinuz",
                tree.modules
            );
            return Err(Failure::missing(release, reason).remedy(tree.image_from.clone()).into());
        };
        if let Err(error) = std::fs::File::open(file) {
            let reason = format!("cannot be booted: {file} cannot be read ({})", error.kind());
            let remedy = format!("run this as root, or: sudo chmod a+r {file}");
            return Err(Failure::missing(release, reason).remedy(remedy).into());
        }
        Ok(file.clone())
    }

    /// The kernel's own module of this name, compressed as the distribution ships it.
    pub fn stock_module(&self, name: &str) -> Result<Utf8PathBuf> {
        let wanted = |file: &str| name::of_file(file) == Some(name::loaded(name));
        let files = walkdir::WalkDir::new(self.modules().join("kernel")).into_iter().filter_map(Result::ok);
        files
            .filter(|entry| entry.file_type().is_file() && entry.file_name().to_str().is_some_and(wanted))
            .find_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
            .ok_or_else(|| {
                Failure::missing(
                    format!("{name}.ko"),
                    format!("kernel {} has no such module", self.release()),
                )
                .into()
            })
    }
}

/// The name of the lock on a kernel.
pub(crate) fn lock_name(release: &Release) -> String {
    format!("kernel {release}")
}

/// The build tree of a kernel at `place`.
pub(crate) fn build_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("build")
}

/// The source of a kernel at `place`.
pub(crate) fn source_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("source")
}

/// The unpacked image and modules packages of a kernel at `place`.
pub(crate) fn image_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("image")
}

fn modules_of(place: &Utf8Path, release: &Release) -> Utf8PathBuf {
    let merged = image_of(place).join("usr/lib/modules").join(release);
    if merged.exists() { merged } else { image_of(place).join("lib/modules").join(release) }
}

/// The file that says which artefacts of somebody else's the kernel at `place` was made of.
pub(crate) fn supply_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("supply")
}

/// The file that marks the kernel at `place` as complete.
pub(crate) fn stamp_of(place: &Utf8Path) -> Utf8PathBuf {
    place.join("stamp.json")
}

/// Removes a kernel, complete or not: the mark first, so that an interrupted removal leaves an
/// incomplete kernel.
pub(crate) fn erase(place: &Utf8Path) -> Result<()> {
    durable::remove(&stamp_of(place))?;
    Ok(fs_err::remove_dir_all(place)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn write(file: &Utf8Path) {
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, "").unwrap();
    }

    /// Whatever a kernel needs, empty, below its place.
    fn files(release: &Release) -> Vec<String> {
        let below = |dir: &'static str| move |name: &&str| format!("{dir}/{name}");
        let built = NEEDED.iter().chain(artefacts::NEEDED).chain(&OF_SOME[1..]).map(below("build"));
        let of_source = NEEDED_OF_SOURCE.iter().map(below("source"));
        built.chain(of_source).chain([format!("image/usr/lib/modules/{release}/modules.builtin")]).collect()
    }

    /// A kernel that is complete, as far as anybody looks without building.
    pub(crate) fn laid_out(cache: &Cache, release: &str) -> Kdir {
        let release: Release = release.parse().unwrap();
        let place = Kdir::place_of(cache, &release);
        files(&release).iter().for_each(|name| write(&place.join(name)));
        let kdir = Kdir::made(stamp(place, &release)).unwrap();
        kdir.write_stamp().unwrap();
        kdir
    }

    /// A stamp of a kernel with Rust.
    fn stamp(place: Utf8PathBuf, release: &Release) -> Stamp {
        Stamp {
            release: release.clone(),
            inputs: String::new(),
            recipe: Recipe::new("", "", []),
            architecture: Architecture::Amd64,
            origin: Origin::Archive { suite: String::new(), version: None },
            tools: String::new(),
            place,
            rust_symbols: 1,
            seconds: 0.0,
            make_seconds: 0.0,
            bytes: 0,
            of_some: Vec::new(),
            kept: Vec::new(),
        }
    }

    #[test]
    fn a_kernel_that_lost_a_file_is_none_and_the_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let cache = &Cache::at(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        let report = &Report::silent();
        let kdir = laid_out(cache, "7.2.11+deb13-cloud-amd64");
        let (release, place) = (kdir.release().clone(), kdir.place().to_owned());
        assert!(!kdir.stamp().of_some.contains(&OF_SOME[0].into()));
        for name in files(&release) {
            assert_eq!((Kdir::lost(cache, &release), Kdir::all(cache, report).len()), (None, 1), "{name}");
            fs_err::remove_file(place.join(&name)).unwrap();
            assert!(Kdir::open(cache, &release).is_none() && Kdir::all(cache, report).is_empty(), "{name}");
            let lost = Kdir::lost(cache, &release).unwrap();
            assert_eq!(lost.file_name(), Utf8Path::new(&name).file_name());
            write(&place.join(&name));
        }
    }

    #[test]
    fn a_kernel_that_was_made_without_what_every_build_takes_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        let error = Kdir::made(stamp(place, &"6.12.9-a".parse().unwrap())).unwrap_err();
        assert!(error.to_string().contains("build/.config"), "{error}");
    }
}
