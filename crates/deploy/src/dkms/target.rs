// SPDX-License-Identifier: GPL-2.0
//! The kernels that DKMS builds for, and the directory that each build uses.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::dkms::place::Place;
use kernel::context::Context;
use kernel::installed::adopt;
use kernel::installed::layout;
use kernel::installed::package_family::PackageFamily;
use kernel::installed::system::SystemRoot;
use kernel::kdir::Kdir;
use kernel::prepare::Rust;
use kernel::version;
use kmodfile::config::Config;
use kmodfile::release::Release;
use project::Project;
use report::failure::Failure;

/// A kernel for which a project can be built.
#[derive(Clone, Debug)]
pub struct DkmsTarget {
    /// The kernel.
    pub release: Release,
    /// The directory for `--kernelsourcedir`; `None` if dkms finds the headers by itself.
    pub kdir: Option<Utf8PathBuf>,
    /// The kernel's configuration.
    pub config: Config,
}

/// Which kernels the user wants.
#[derive(Clone, Copy, Debug)]
pub enum WantedKernels<'a> {
    /// These.
    Named(&'a [Release]),
    /// All that are installed.
    All,
}

/// The kernels asked for; by default the running one or, in another system's tree, the only one
/// there. Warns if a newer one than the running is installed.
pub fn releases(context: &Context, place: &Place, wanted: WantedKernels<'_>) -> Result<Vec<Release>> {
    match wanted {
        WantedKernels::Named([]) => Ok(vec![default(context, place)?]),
        // Each once: two dkms would build in the same directory.
        WantedKernels::Named(releases) => {
            let mut seen = BTreeSet::new();
            Ok(releases.iter().filter(|release| seen.insert(*release)).cloned().collect())
        }
        WantedKernels::All => {
            let all = installed(place);
            if all.is_empty() {
                return Err(Failure::missing(place.install().as_str(), "no kernel is installed there")
                    .remedy("install a kernel and its headers, or give one: --kernel RELEASE")
                    .into());
            }
            Ok(all)
        }
    }
}

/// The installed kernels, oldest first. A directory without modules, as left by uninstalling a
/// kernel, does not count.
pub fn installed(place: &Place) -> Vec<Release> {
    let entries = place.install().read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let whole = |dir: &Utf8Path| dir.join("modules.dep").exists() || dir.join("kernel").is_dir();
    let mut releases: Vec<Release> = entries
        .filter(|entry| whole(entry.path()))
        .filter_map(|entry| entry.file_name().parse().ok())
        .collect();
    releases.sort_by(|a, b| version::compare(a.as_str(), b.as_str()));
    releases
}

fn default(context: &Context, place: &Place) -> Result<Release> {
    let installed = installed(place);
    if place.root().is_some() {
        return match installed.as_slice() {
            [one] => Ok(one.clone()),
            several => Err(Failure::usage(
                "--kernel",
                format!("{} kernels are installed in {}: {}", several.len(), place.install(), list(several)),
            )
            .remedy("--kernel RELEASE, or --all-kernels")
            .into()),
        };
    }
    let running = running(context)?;
    if !place.modules(&running).exists() {
        return Err(Failure::missing(
            running.as_str(),
            format!(
                "is running, but its modules are not in {}; installed: {}",
                place.install(),
                list(&installed)
            ),
        )
        .remedy("--kernel RELEASE, or --all-kernels")
        .into());
    }
    if let Some(newest) = installed.last().filter(|newest| **newest != running) {
        context.report.warn(&format!(
            "this is for the running kernel, {running}; {newest} is installed too and may be booted next: \
             --kernel {newest}, or --all-kernels"
        ));
    }
    Ok(running)
}

/// The running kernel.
pub fn running(context: &Context) -> Result<Release> {
    adopt::running(&context.report)
}

fn list(releases: &[Release]) -> String {
    if releases.is_empty() {
        return "none".to_owned();
    }
    releases.iter().map(Release::as_str).collect::<Vec<_>>().join(", ")
}

impl DkmsTarget {
    /// Chooses what `project` is built against for `release`: the installed headers or, if they
    /// lack what it needs, the prepared kernel.
    pub fn of(context: &Context, place: &Place, project: &Project, release: &Release) -> Result<Self> {
        let prepared = Kdir::open(&context.cache, release);
        let headers = headers_of(place, release);
        let config = match (&headers, &prepared) {
            (Some(dir), _) => read_config(dir)?,
            (None, Some(kdir)) => kdir.config()?,
            (None, None) => return Err(no_headers(place, release, &lost(context, release)).into()),
        };
        let complete =
            |dir: &Utf8Path| !config.is_yes("CONFIG_RUST") || dir.join("rust/libcore.rmeta").exists();
        let kdir = match (headers, prepared) {
            // On the machine dkms finds them by itself.
            (Some(dir), _) if complete(&dir) => place.root().map(|_| dir),
            (_, Some(kdir)) => Some(kdir.build()),
            (Some(_), None) if needs_artefacts(project) => {
                return Err(no_artefacts(place, release, &lost(context, release)).into());
            }
            (dir, None) => dir.filter(|_| place.root().is_some()),
        };
        Ok(Self { release: release.clone(), kdir, config })
    }
}

/// Whether the project is, or may be, written in Rust: imported source may be.
fn needs_artefacts(project: &Project) -> bool {
    project.rust() == Rust::Needed || project.import.is_some()
}

/// The headers of an installed kernel. In another system's tree the link is resolved as that system
/// would.
fn headers_of(place: &Place, release: &Release) -> Option<Utf8PathBuf> {
    let link = place.modules(release).join("build");
    let dir = match (link.read_link_utf8(), place.root()) {
        (Ok(target), Some(root)) if target.is_absolute() => root.join(target.strip_prefix("/").ok()?),
        _ => link,
    };
    dir.join("include").exists().then_some(dir)
}

fn read_config(dir: &Utf8Path) -> Result<Config> {
    let files = ["include/config/auto.conf", ".config"].map(|name| dir.join(name));
    let file = files.iter().find(|file| file.exists()).unwrap_or(&files[1]);
    Ok(Config::parse(&fs_err::read_to_string(file)?))
}

/// An addition to an error if there is a prepared kernel, but it has lost files.
fn lost(context: &Context, release: &Release) -> String {
    Kdir::lost(&context.cache, release)
        .map_or_else(String::new, |file| format!("; the prepared kernel has lost {file}"))
}

fn no_headers(place: &Place, release: &Release, lost: &str) -> Failure {
    let known = installed(place);
    let reason = if known.contains(release) {
        format!("its headers are not installed (no {}/build/include)", place.modules(release))
    } else {
        format!("is not installed in {}; installed: {}", place.install(), list(&known))
    };
    let failure = Failure::missing(release.as_str(), reason + lost);
    match supplies(place, release) {
        Some((headers, artefacts)) => failure.remedy(format!("{headers}, or {artefacts}")),
        None => failure,
    }
}

fn no_artefacts(place: &Place, release: &Release, lost: &str) -> Failure {
    let reason =
        format!("its headers lack the Rust artefacts (rust/libcore.rmeta) that the project needs{lost}");
    let failure = Failure::missing(release.as_str(), reason);
    match supplies(place, release) {
        Some((_, artefacts)) => failure.remedy(artefacts),
        None => failure,
    }
}

/// What brings a kernel's headers in the words of the system that it is for, and what brings what
/// they lack.
fn supplies(place: &Place, release: &Release) -> Option<(String, String)> {
    let system = SystemRoot::open(place.root().unwrap_or(Utf8Path::new("/"))).ok()?;
    let family = PackageFamily::of(&system);
    let kernels = layout::all(&system, Some(release));
    let kernel = kernels.iter().find(|kernel| kernel.release == *release)?;
    Some((family.headers(&system, kernel), family.artefacts(&system, kernel, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::in_root(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, place)
    }

    #[test]
    fn kernels_are_ordered_by_version_and_empty_directories_are_none() {
        let (_dir, place) = place();
        for name in ["6.12.9-a/kernel", "6.12.107-a/kernel", "6.12.94-a", "not-a-kernel/kernel"] {
            fs_err::create_dir_all(place.install().join(name)).unwrap();
        }
        assert_eq!(list(&installed(&place)), "6.12.9-a, 6.12.107-a");
    }

    #[test]
    fn headers_that_are_missing_are_named_as_the_system_names_them() {
        let release: Release = "6.12.9-a".parse().unwrap();
        for (os_release, remedy) in [
            ("ID=debian", "apt-get install linux-headers-6.12.9-a, or cargo kmod kernel prepare 6.12.9-a"),
            (
                "ID=fedora",
                "dnf install kernel-devel-6.12.9-a, or cargo kmod kernel prepare --source DIR --config-of 6.12.9-a",
            ),
            (
                "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"",
                "zypper install kernel-a-devel, or cargo kmod kernel prepare --source DIR --config-of 6.12.9-a",
            ),
        ] {
            let (dir, place) = place();
            fs_err::create_dir_all(dir.path().join("etc")).unwrap();
            fs_err::write(dir.path().join("etc/os-release"), os_release).unwrap();
            assert_eq!(no_headers(&place, &release, "").remedy.as_deref(), Some(remedy));
        }
    }

    #[test]
    fn headers_are_found_as_the_other_system_would() {
        let (dir, place) = place();
        let release: Release = "6.12.9-a".parse().unwrap();
        fs_err::create_dir_all(place.modules(&release)).unwrap();
        std::os::unix::fs::symlink("/usr/src/h", place.modules(&release).join("build")).unwrap();
        assert_eq!(headers_of(&place, &release), None);
        fs_err::create_dir_all(dir.path().join("usr/src/h/include")).unwrap();
        assert_eq!(headers_of(&place, &release), Some(place.root().unwrap().join("usr/src/h")));
    }
}
