// SPDX-License-Identifier: GPL-2.0
//! Which kernels are installed in a system, and where each has what: the layouts of Debian, Ubuntu,
//! Armbian, Arch, Fedora, openSUSE and NixOS, and whatever is laid out like one of them.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::installed::system::SystemRoot;
use crate::version;
use kmodfile::release::Release;

/// Where modules are, a directory a release. The first that has a release is taken for it.
const MODULES: &[&str] = &[
    "/lib/modules",
    "/usr/lib/modules",
    "/run/booted-system/kernel-modules/lib/modules",
    "/run/current-system/kernel-modules/lib/modules",
];

/// A kernel that is installed, or of which only the headers are. All paths are as the system sees
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledKernel {
    /// Its release.
    pub release: Release,
    /// Whether the machine runs it now.
    pub running: bool,
    /// The directory of its modules.
    pub modules: Option<Utf8PathBuf>,
    /// Its bootable image.
    pub image: Option<Utf8PathBuf>,
    /// What modules are built against.
    pub headers: Headers,
}

/// The headers of an installed kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Not installed.
    Absent,
    /// A link to them is there, and they are not.
    Dangling {
        /// The link.
        link: Utf8PathBuf,
        /// What it says.
        target: Utf8PathBuf,
    },
    /// The link leads to those of another kernel.
    OfAnother {
        /// Where they are.
        build: Utf8PathBuf,
        /// The release that they say they are of.
        release: String,
    },
    /// Installed.
    There {
        /// What `make -C` takes.
        build: Utf8PathBuf,
        /// The source that it leads to: the same directory where all is in one.
        source: Utf8PathBuf,
    },
}

/// All that are installed, newest first; the running one is among them whatever is there of it.
pub fn all(system: &SystemRoot, running: Option<&Release>) -> Vec<InstalledKernel> {
    let mut found: BTreeMap<Release, Parts> = BTreeMap::new();
    for dir in MODULES.iter().map(Utf8Path::new) {
        for (name, release) in releases(&system.names(dir)) {
            let dir = dir.join(name);
            if is_of_kernel(system, &dir) {
                let parts = found.entry(release).or_default();
                parts.modules.get_or_insert(dir);
            }
        }
    }
    for (release, build) in headers(system) {
        found.entry(release).or_default().builds.push(build);
    }
    if let Some(release) = running {
        found.entry(release.clone()).or_default();
    }
    let kernel = |(release, parts): (Release, Parts)| parts.kernel(system, release, running);
    let mut kernels: Vec<InstalledKernel> = found.into_iter().map(kernel).collect();
    kernels.sort_by(|a, b| version::compare(b.release.as_str(), a.release.as_str()));
    kernels
}

/// What was found of a kernel.
#[derive(Default)]
struct Parts {
    modules: Option<Utf8PathBuf>,
    /// Headers that were found by themselves.
    builds: Vec<Utf8PathBuf>,
}

impl Parts {
    fn kernel(self, system: &SystemRoot, release: Release, running: Option<&Release>) -> InstalledKernel {
        let link = self.modules.as_ref().map(|dir| dir.join("build"));
        let linked = link.map_or(Headers::Absent, |link| headers_at(system, &release, &link));
        let others = self.builds.iter().map(|build| headers_at(system, &release, build));
        let headers = std::iter::once(linked.clone())
            .chain(others)
            .find(|headers| matches!(headers, Headers::There { .. }))
            .unwrap_or(linked);
        let running = running == Some(&release);
        let image = image(system, &release, self.modules.as_deref(), running);
        InstalledKernel { running, image, headers, modules: self.modules, release }
    }
}

fn releases(names: &[String]) -> impl Iterator<Item = (&String, Release)> {
    names.iter().filter_map(|name| Some((name, name.parse().ok()?)))
}

/// A directory that an uninstalled kernel left, with what others had put there, is none.
fn is_of_kernel(system: &SystemRoot, dir: &Utf8Path) -> bool {
    let names = ["modules.dep", "modules.builtin", "modules.order", "kernel", "vmlinuz", "pkgbase"];
    names.iter().any(|name| system.find(dir.join(name)).is_some()) || system.link(dir.join("build")).is_some()
}

/// Headers wherever packages put them, each with the release that it says it is of.
fn headers(system: &SystemRoot) -> Vec<(Release, Utf8PathBuf)> {
    let source = Utf8Path::new("/usr/src");
    let mut dirs = Vec::new();
    for name in system.names(source) {
        let dir = source.join(&name);
        if name.starts_with("linux-headers-") {
            dirs.push(dir);
        } else if name == "kernels" {
            dirs.extend(system.names(&dir).iter().map(|name| dir.join(name)));
        } else if name.starts_with("linux-") && name.ends_with("-obj") {
            // One for each architecture and flavour.
            let architectures = system.names(&dir).into_iter().map(|name| dir.join(name));
            dirs.extend(architectures.flat_map(|of_one| {
                system.names(&of_one).into_iter().map(move |flavour| of_one.join(flavour))
            }));
        }
    }
    let store = Utf8Path::new("/nix/store");
    let outputs = system.names(store).into_iter();
    for output in outputs.filter(|name| name.contains("-linux-") && name.ends_with("-dev")) {
        let modules = store.join(output).join("lib/modules");
        dirs.extend(system.names(&modules).iter().map(|name| modules.join(name).join("build")));
    }
    // What all flavours share has no configuration, and is of no kernel.
    dirs.retain(|dir| system.find(dir.join(".config")).is_some());
    let of_release = |dir: Utf8PathBuf| Some((said_release(system, &dir)?.parse().ok()?, dir));
    dirs.into_iter().filter_map(of_release).collect()
}

/// The release that headers say they are of: what modules built against them get into their
/// vermagic. Debian's `kernel.release` is not that.
fn said_release(system: &SystemRoot, build: &Utf8Path) -> Option<String> {
    let header = system.text(build.join("include/generated/utsrelease.h")).unwrap_or_default();
    let value = header.lines().find_map(|line| line.strip_prefix("#define UTS_RELEASE "));
    let value = value.map(|value| value.trim().trim_matches('"').to_owned());
    value.or_else(|| Some(system.text(build.join("include/config/kernel.release"))?.trim().to_owned()))
}

fn headers_at(system: &SystemRoot, release: &Release, place: &Utf8Path) -> Headers {
    let Some(found) = system.find(place) else {
        let dangling = system.link(place).map(|target| Headers::Dangling { link: place.to_owned(), target });
        return dangling.unwrap_or(Headers::Absent);
    };
    match said_release(system, &found.real).filter(|said| said != release.as_str()) {
        Some(release) => Headers::OfAnother { build: found.real, release },
        None => Headers::There { source: source(system, &found.real), build: found.real },
    }
}

/// The source that a build tree's Makefile leads to.
fn source(system: &SystemRoot, build: &Utf8Path) -> Utf8PathBuf {
    let makefile = build.join("Makefile");
    let text = system.read_up_to(&makefile, 4096).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    // The kernel's own Makefile includes by variables alone.
    let included =
        text.lines().find_map(|line| line.strip_prefix("include ")?.trim().strip_suffix("Makefile"));
    let included = included.filter(|dir| !dir.contains('$')).map(|dir| build.join(dir));
    let elsewhere = included.and_then(|dir| system.find(dir)).map(|found| found.real);
    // A link may lead there instead, as all of Ubuntu's headers of a flavour do.
    let linked = || Some(system.find(&makefile)?.real.parent()?.to_owned());
    elsewhere.or_else(linked).unwrap_or_else(|| build.to_owned())
}

fn image(
    system: &SystemRoot,
    release: &Release,
    modules: Option<&Utf8Path>,
    running: bool,
) -> Option<Utf8PathBuf> {
    let boot = ["vmlinuz", "Image"].map(|name| Utf8PathBuf::from(format!("/boot/{name}-{release}")));
    let beside = modules.map(|dir| dir.join("vmlinuz"));
    let booted = running.then(|| "/run/booted-system/kernel".into());
    let places = boot.into_iter().chain(beside).chain(booted);
    places.into_iter().find_map(|place| Some(system.find(place)?.real))
}
