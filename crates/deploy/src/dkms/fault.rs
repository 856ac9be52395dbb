// SPDX-License-Identifier: GPL-2.0
//! What a killed dkms leaves behind. dkms has neither a journal nor a lock: it moves the kernel's
//! own module away, copies the new one, makes a link and runs depmod, and can be interrupted
//! between any two of these steps. Some of these states it calls "built" afterwards, and would then
//! archive its own module as the kernel's, so that the kernel's is lost.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::dkms::check::{module_files, module_name};
use crate::dkms::command::depmod;
use crate::dkms::package::DkmsPackage;
use crate::dkms::place::{Place, arch};
use kernel::context::Context;
use kmodfile::release::Release;
use report::durable;
use report::failure::Failure;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// The link to the source is missing or dangling.
    NoSource {
        /// The link.
        link: Utf8PathBuf,
    },
    /// A build was interrupted.
    HalfBuilt {
        /// What it has left.
        left: Utf8PathBuf,
    },
    /// The kernel's own module was moved away, and nothing is installed instead.
    OriginalAway {
        /// The kernel.
        release: Release,
        /// Where the module is now.
        file: Utf8PathBuf,
    },
    /// Marked as installed, but what is installed is missing or not what was built.
    NotInstalled {
        /// The kernel.
        release: Release,
        /// The link that marks it.
        link: Utf8PathBuf,
    },
    /// modules.dep, which is what modprobe(8) reads, was not updated after modules were added or
    /// removed.
    Stale {
        /// The kernel.
        release: Release,
        /// The module that is missing in modules.dep, or listed there and missing itself.
        file: Utf8PathBuf,
    },
    /// A module of the package is installed, but DKMS does not know that.
    Unknown {
        /// The kernel.
        release: Release,
        /// The module.
        file: Utf8PathBuf,
    },
}

impl Fault {
    /// The kernel that it concerns; `None` if it concerns all.
    pub fn release(&self) -> Option<&Release> {
        match self {
            Self::NoSource { .. } | Self::HalfBuilt { .. } => None,
            Self::OriginalAway { release, .. }
            | Self::NotInstalled { release, .. }
            | Self::Stale { release, .. }
            | Self::Unknown { release, .. } => Some(release),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSource { link } => write!(f, "{link}: does not lead to the source"),
            Self::HalfBuilt { left } => write!(f, "{left}: left by an interrupted build"),
            Self::OriginalAway { release, file } => {
                write!(
                    f,
                    "{file}: a module of kernel {release} that was moved away, with none installed instead"
                )
            }
            Self::NotInstalled { release, link } => {
                write!(f, "{link}: marks it as installed for {release}, but what was built is not installed")
            }
            Self::Stale { release, file } => {
                write!(f, "{file}: was added or removed, but the modules.dep of {release} was not updated")
            }
            Self::Unknown { release, file } => {
                write!(f, "{file}: installed for {release}, but not known to DKMS")
            }
        }
    }
}

/// Finds what is wrong with a package.
pub fn find(place: &Place, package: &DkmsPackage) -> Result<Vec<Fault>> {
    let dir = place.package(package);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    let link = dir.join("source");
    if !link.is_dir() {
        faults.push(Fault::NoSource { link });
    }
    for release in kernels(place, package) {
        let of_kernel = dir.join(&release);
        let half = entries(&of_kernel).into_iter().filter(|path| is_half(path));
        faults.extend(half.map(|left| Fault::HalfBuilt { left }));
        faults.extend(of_release(place, package, &release)?);
    }
    Ok(faults)
}

/// Refuses a package with which something is wrong.
pub fn refuse(place: &Place, package: &DkmsPackage) -> Result<()> {
    let faults = find(place, package)?;
    if faults.is_empty() {
        return Ok(());
    }
    let lines: String = faults.iter().map(|fault| format!("\n    {fault}")).collect();
    Err(Failure::refused(package.to_string(), format!("an interrupted dkms has left it incomplete:{lines}"))
        .remedy("add --repair to dkms install, uninstall or remove: it restores the kernel's own modules and keeps what was built")
        .into())
}

/// Returns a package to the state "built", with the kernel's own modules in place. Returns what was
/// wrong.
pub fn repair(context: &Context, place: &Place, package: &DkmsPackage) -> Result<Vec<Fault>> {
    let faults = find(place, package)?;
    for fault in &faults {
        context.report.note("Repairing", &fault.to_string());
        if !context.dry_run {
            fix(context, place, package, fault)?;
        }
    }
    if !faults.is_empty() && !context.dry_run {
        refuse(place, package).context("it could not be repaired")?;
    }
    Ok(faults)
}

fn fix(context: &Context, place: &Place, package: &DkmsPackage, fault: &Fault) -> Result<()> {
    match fault {
        Fault::NoSource { link } => link_source(place, package, link),
        Fault::HalfBuilt { left } => Ok(fs_err::remove_dir_all(left)?),
        Fault::OriginalAway { release, .. } => {
            put_back(place, package, release)?;
            depmod(context, place, release)
        }
        Fault::NotInstalled { release, link } => {
            for file in ours(place, package, release)? {
                fs_err::remove_file(file)?;
            }
            put_back(place, package, release)?;
            fs_err::remove_file(link)?;
            depmod(context, place, release)
        }
        Fault::Stale { release, .. } => depmod(context, place, release),
        Fault::Unknown { release, file } => {
            fs_err::remove_file(file)?;
            put_back(place, package, release)?;
            depmod(context, place, release)
        }
    }
}

/// Links the source again; if there is none, the package is nothing but an empty directory, which
/// is removed.
fn link_source(place: &Place, package: &DkmsPackage, link: &Utf8Path) -> Result<()> {
    if link.is_symlink() {
        fs_err::remove_file(link)?;
    }
    let source = place.source_of(package);
    if source.is_dir() {
        return std::os::unix::fs::symlink(&source, link).with_context(|| format!("linking {link}"));
    }
    if !kernels(place, package).is_empty() {
        return Err(Failure::refused(
            package.to_string(),
            format!("its source {source} is missing, but modules of it are built"),
        )
        .remedy("restore the source, for example with cargo kmod dkms add of the same version")
        .into());
    }
    Ok(fs_err::remove_dir_all(place.package(package))?)
}

/// Finds what is wrong for one kernel.
fn of_release(place: &Place, package: &DkmsPackage, release: &Release) -> Result<Vec<Fault>> {
    let link = place.active_link(&package.name, release);
    let built = place.built(package, release);
    let active = link.read_link_utf8().ok().map(|to| link.parent().unwrap_or(&link).join(to));
    let mut faults = Vec::new();
    match active {
        Some(active) if active == built => {
            if !all_installed(place, package, release)? {
                faults.push(Fault::NotInstalled { release: release.clone(), link });
            }
        }
        // Another version of the package is installed, which is fine.
        Some(_) if link.exists() => {}
        Some(_) => faults.push(Fault::NotInstalled { release: release.clone(), link }),
        None => {
            let unknown = ours(place, package, release)?;
            let away = module_files(&place.originals(&package.name, release));
            faults.extend(unknown.into_iter().map(|file| Fault::Unknown { release: release.clone(), file }));
            if faults.is_empty() {
                let away = away.into_iter();
                faults.extend(away.map(|file| Fault::OriginalAway { release: release.clone(), file }));
            }
        }
    }
    if faults.is_empty() {
        let file = stale(place, package, release)?;
        faults.extend(file.map(|file| Fault::Stale { release: release.clone(), file }));
    }
    Ok(faults)
}

/// A module with a name of the package's on which modules.dep and the directory disagree.
fn stale(place: &Place, package: &DkmsPackage, release: &Release) -> Result<Option<Utf8PathBuf>> {
    let modules = place.modules(release);
    let Ok(text) = fs_err::read_to_string(modules.join("modules.dep")) else { return Ok(None) };
    let listed: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let built = module_files(&place.built(package, release).join("module"));
    let is_ours = |path: &str| {
        let name = module_name(Utf8Path::new(path));
        built.iter().any(|file| module_name(file) == name)
    };
    let gone = listed.iter().filter(|path| is_ours(path)).map(|path| modules.join(path));
    if let Some(gone) = gone.into_iter().find(|path| !path.exists()) {
        return Ok(Some(gone));
    }
    let is_listed =
        |path: &Utf8PathBuf| path.strip_prefix(&modules).is_ok_and(|path| listed.contains(&path.as_str()));
    Ok(ours(place, package, release)?.into_iter().find(|path| !is_listed(path)))
}

/// Whether everything that was built is installed, byte for byte.
fn all_installed(place: &Place, package: &DkmsPackage, release: &Release) -> Result<bool> {
    let built = module_files(&place.built(package, release).join("module"));
    let ours = ours(place, package, release)?;
    let in_place = |file: &Utf8PathBuf| ours.iter().any(|there| there.file_name() == file.file_name());
    Ok(!built.is_empty() && built.iter().all(in_place))
}

/// Files below a kernel's directory that are identical to what was built.
fn ours(place: &Place, package: &DkmsPackage, release: &Release) -> Result<Vec<Utf8PathBuf>> {
    let built = module_files(&place.built(package, release).join("module"));
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(place.modules(release)).into_iter().filter_map(Result::ok) {
        let Some(path) = Utf8Path::from_path(entry.path()) else { continue };
        let same_name = built.iter().find(|file| file.file_name() == path.file_name());
        if let Some(file) = same_name
            && path.is_file()
            && fs_err::read(file)? == fs_err::read(path)?
        {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// Moves the kernel's own modules back to where dkms has noted that they were. A file there is
/// kept.
fn put_back(place: &Place, package: &DkmsPackage, release: &Release) -> Result<()> {
    let dir = place.originals(&package.name, release);
    for file in module_files(&dir) {
        let note = Utf8PathBuf::from(format!("{file}.origin"));
        let origin = origin(place, release, &file, &note);
        if !origin.exists() {
            // They may be on different file systems.
            durable::replace(&origin, &fs_err::read(&file)?)?;
        }
        fs_err::remove_file(&file)?;
        fs_err::remove_file(&note).ok();
    }
    // They are empty now, unless there is something else in them.
    for dir in dir.ancestors().take(3) {
        fs_err::remove_dir(dir).ok();
    }
    Ok(())
}

/// Where a module was, as noted by DKMS 3.1.6 and later. Earlier versions moved it back below
/// `kernel/`, to its place in modules.order.
fn origin(place: &Place, release: &Release, file: &Utf8Path, note: &Utf8Path) -> Utf8PathBuf {
    let modules = place.modules(release);
    if let Ok(text) = fs_err::read_to_string(note) {
        let noted = Utf8Path::new(text.trim());
        let leaves = noted.components().any(|part| part == camino::Utf8Component::ParentDir);
        if noted.starts_with(&modules) && !leaves {
            return noted.to_owned();
        }
    }
    let order = fs_err::read_to_string(modules.join("modules.order")).unwrap_or_default();
    let name = module_name(file).unwrap_or_default();
    let line = order.lines().map(Utf8Path::new).find(|path| module_name(path) == Some(name));
    let dir = line.and_then(Utf8Path::parent).unwrap_or(Utf8Path::new("kernel"));
    modules.join(dir).join(file.file_name().unwrap_or_default())
}

/// The kernels for which DKMS has any files of a package.
pub(super) fn kernels(place: &Place, package: &DkmsPackage) -> Vec<Release> {
    let mut dirs = entries(&place.package(package));
    dirs.extend(entries(&place.tree().join(&package.name).join("original_module")));
    let dirs = dirs.iter().filter(|dir| dir.is_dir() && !dir.is_symlink());
    let mut kernels: Vec<Release> = dirs.filter_map(|dir| dir.file_name()?.parse().ok()).collect();
    kernels.sort();
    kernels.dedup();
    kernels
}

/// Whether it is the directory that dkms builds in before it renames it to [`arch`].
fn is_half(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| name.starts_with(&format!(".tmp_{}_", arch())))
}

fn entries(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.into_path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with one module built for one kernel.
    struct System {
        _dir: tempfile::TempDir,
        place: Place,
        package: DkmsPackage,
        release: Release,
    }

    impl System {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let place = Place::in_root(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
            let package = DkmsPackage { name: "x".into(), version: "1".into() };
            let system = Self { _dir: dir, place, package, release: "6.12.1-a".parse().unwrap() };
            system.file(&system.place.source_of(&system.package).join("dkms.conf"), "");
            system.file(&system.place.built(&system.package, &system.release).join("module/m.ko"), "ours");
            let link = system.place.package(&system.package).join("source");
            std::os::unix::fs::symlink(system.place.source_of(&system.package), link).unwrap();
            system.file(&system.place.modules(&system.release).join("modules.dep"), "updates/m.ko:\n");
            system
        }

        fn file(&self, path: &Utf8Path, content: &str) {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }

        fn install(&self, content: &str) {
            self.file(&self.place.modules(&self.release).join("updates/m.ko"), content);
        }

        fn link(&self) {
            let link = self.place.active_link("x", &self.release);
            std::os::unix::fs::symlink("1/6.12.1-a/x86_64", link).unwrap();
        }

        fn faults(&self) -> Vec<String> {
            let faults = find(&self.place, &self.package).unwrap();
            faults
                .iter()
                .map(|fault| serde_json::to_value(fault).unwrap()["fault"].as_str().unwrap().into())
                .collect()
        }
    }

    #[test]
    fn a_complete_package_has_no_fault() {
        let system = System::new();
        system.install("ours");
        system.link();
        assert_eq!(system.faults(), [""; 0]);
        refuse(&system.place, &system.package).unwrap();
    }

    #[test]
    fn two_copies_of_one_module_do_not_stand_for_two() {
        let system = System::new();
        let built = system.place.built(&system.package, &system.release);
        system.file(&built.join("module/n.ko"), "the other");
        system.install("ours");
        system.file(&system.place.modules(&system.release).join("extra/m.ko"), "ours");
        system.link();
        assert_eq!(system.faults(), ["not-installed"]);
    }

    #[test]
    fn each_incomplete_state_is_recognised() {
        type Make = fn(&System);
        let states: [(&str, Make); 6] = [
            ("unknown", |system| system.install("ours")),
            ("not-installed", System::link),
            ("not-installed", |system| {
                system.install("half");
                system.link();
            }),
            ("original-away", |system| {
                system.file(&system.place.originals("x", &system.release).join("m.ko"), "stock");
            }),
            ("half-built", |system| {
                let dir = system.place.package(&system.package).join(&system.release);
                fs_err::create_dir(dir.join(".tmp_x86_64_abcd")).unwrap();
                system.install("stock");
            }),
            ("no-source", |system| {
                fs_err::remove_file(system.place.package(&system.package).join("source")).unwrap();
                system.install("stock");
            }),
        ];
        for (expected, make) in states {
            let system = System::new();
            make(&system);
            assert_eq!(system.faults(), [expected]);
            assert!(refuse(&system.place, &system.package).is_err());
        }
    }

    #[test]
    fn a_module_that_was_added_or_removed_without_depmod_is_stale() {
        let system = System::new();
        assert_eq!(system.faults(), ["stale"]);
        system.install("ours");
        system.link();
        system.file(&system.place.modules(&system.release).join("modules.dep"), "kernel/other.ko:\n");
        assert_eq!(system.faults(), ["stale"]);
    }

    #[test]
    fn the_kernels_own_module_goes_back_to_where_it_was() {
        let system = System::new();
        let originals = system.place.originals("x", &system.release);
        let origin = system.place.modules(&system.release).join("kernel/fs/m.ko");
        system.file(&originals.join("m.ko"), "stock");
        system.file(&originals.join("m.ko.origin"), &format!("{origin}\n"));
        put_back(&system.place, &system.package, &system.release).unwrap();
        assert_eq!(fs_err::read_to_string(&origin).unwrap(), "stock");
        assert!(!originals.exists());
    }

    #[test]
    fn a_note_that_leads_elsewhere_is_not_followed() {
        let system = System::new();
        let (place, release) = (&system.place, &system.release);
        let note = place.originals("x", release).join("m.ko.origin");
        system.file(&place.modules(release).join("modules.order"), "kernel/fs/m.ko\n");
        for elsewhere in ["/etc/passwd".to_owned(), format!("{}/../../x/m.ko", place.modules(release))] {
            system.file(&note, &elsewhere);
            let found = origin(place, release, Utf8Path::new("m.ko"), &note);
            assert_eq!(found, place.modules(release).join("kernel/fs/m.ko"), "{elsewhere}");
        }
    }
}
