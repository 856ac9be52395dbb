// SPDX-License-Identifier: GPL-2.0
//! Which packages of the repositories are of which kernel.
//!
//! Fedora's, and those of RHEL and its rebuilds, say it: `kernel-devel` provides
//! `kernel-devel-uname-r = RELEASE`, `kernel-core` `kernel-uname-r = RELEASE`; the rest is named
//! alike and of the same version. SUSE's `kernel-FLAVOUR-devel` says nothing: the release is the
//! version with the flavour behind it, without the number of the rebuild.

use std::cmp::Ordering;

use rpm_version::Evr;

use crate::distribution::archive::{ArchiveKernel, Parts};
use crate::distribution::package::Package;
use crate::distribution::rpm_family::primary::IndexedPackage;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;

/// All kernels for `architecture` whose headers are among `packages`, newest first.
pub fn all(packages: &[IndexedPackage], architecture: Architecture) -> Vec<ArchiveKernel> {
    let here = packages.iter().filter(|one| one.package.architecture == architecture.machine());
    let mut kernels: Vec<ArchiveKernel> = here.filter_map(kernel).collect();
    kernels.sort_by(|a, b| {
        newer_first(&a.headers.version, &b.headers.version).then_with(|| a.release.cmp(&b.release))
    });
    // The same may be in two repositories, and SUSE rebuilds without another release.
    kernels.dedup_by(|a, b| a.release == b.release);
    kernels
}

/// By rpm's own order of versions.
fn newer_first(a: &str, b: &str) -> Ordering {
    Evr::parse(b).cmp(&Evr::parse(a))
}

fn kernel(one: &IndexedPackage) -> Option<ArchiveKernel> {
    let said = one.headers_of.clone();
    let release = said.or_else(|| release_of_suse(&one.package))?.parse().ok()?;
    Some(ArchiveKernel { release, headers: one.package.clone() })
}

/// `6.4.0-150600.21-default` of `kernel-default-devel` of version `6.4.0-150600.21.2`.
fn release_of_suse(package: &Package) -> Option<String> {
    let flavour = package.name.strip_prefix("kernel-")?.strip_suffix("-devel")?;
    let version = source_version_of_suse(&package.version)?;
    Some(format!("{version}-{flavour}"))
}

/// A version without the number of the rebuild, which the source of all flavours has in common.
fn source_version_of_suse(version: &str) -> Option<&str> {
    let (start, number) = version.rsplit_once('.')?;
    (start.contains('-') && number.chars().all(|c| c.is_ascii_digit())).then_some(start)
}

/// The packages of a kernel, all of its version.
///
/// # Errors
///
/// Refused, if the repositories lack its image or its source.
pub(super) fn parts<'a>(
    packages: &'a [IndexedPackage],
    kernel: &'a ArchiveKernel,
) -> Result<Parts<'a>, Failure> {
    let source = source(packages, kernel)?;
    Ok(Parts { headers: &kernel.headers, source, image: image(packages, kernel)? })
}

/// The source of exactly the version of the kernel's headers: a source package, or SUSE's
/// `kernel-source`.
pub(super) fn source<'a>(
    packages: &'a [IndexedPackage],
    kernel: &ArchiveKernel,
) -> Result<&'a Package, Failure> {
    let headers = &kernel.headers;
    let own = packages.iter().find(|one| one.package == *headers);
    let named = own.and_then(|one| one.source.as_deref());
    let package = packages.iter().find(|one| Some(one.file_name()) == named).or_else(|| {
        let version = source_version_of_suse(&headers.version)?;
        let same = |one: &&IndexedPackage| source_version_of_suse(&one.package.version) == Some(version);
        packages.iter().filter(|one| one.package.name == "kernel-source").find(same)
    });
    package.map(|one| &one.package).ok_or_else(|| {
        let release = kernel.release.as_str();
        let wanted = named.unwrap_or("kernel-source");
        let reason = format!(
            "its headers are version {}, and no repository has their source, {wanted}",
            headers.version
        );
        Failure::refused(release, reason).remedy(format!(
            "name the repository of its source to the machine, or the source itself: \
             cargo kmod kernel prepare --source DIR --config-of {release}"
        ))
    })
}

/// What holds the image, and the modules that it needs: `kernel-core`, `kernel-modules-core` and
/// `kernel-modules`, or one package of all.
fn image<'a>(packages: &'a [IndexedPackage], kernel: &ArchiveKernel) -> Result<Vec<&'a Package>, Failure> {
    let (release, headers) = (kernel.release.as_str(), &kernel.headers);
    let base = headers.name.strip_suffix("-devel").unwrap_or(&headers.name);
    let alike = |one: &&IndexedPackage| {
        let package = &one.package;
        (&package.version, &package.architecture) == (&headers.version, &headers.architecture)
    };
    let named = |end: &str| {
        let name = format!("{base}{end}");
        packages.iter().filter(alike).find(|one| one.package.name == name)
    };
    let said = packages.iter().filter(alike).find(|one| one.image_of.as_deref() == Some(release));
    let Some(image) = said.or_else(|| named("-core")).or_else(|| named("")) else {
        let reason =
            format!("the repositories have its headers in version {}, but not its image", headers.version);
        return Err(Failure::refused(release, reason).remedy("choose another kernel: cargo kmod kernel list"));
    };
    let rest = ["-modules-core", "-modules"].into_iter().filter_map(named);
    Ok(std::iter::once(image).chain(rest).map(|one| &one.package).collect())
}

/// What a machine has installed to build a kernel's modules: its headers, and what SUSE's headers
/// of a flavour lead to.
pub(super) fn build_packages<'a>(
    packages: &'a [IndexedPackage],
    kernel: &'a ArchiveKernel,
) -> Vec<&'a Package> {
    let headers = &kernel.headers;
    let shared = source_version_of_suse(&headers.version).filter(|_| headers.name != "kernel-devel");
    let shared = shared.and_then(|version| {
        let same = |one: &&IndexedPackage| source_version_of_suse(&one.package.version) == Some(version);
        let noarch = |one: &&IndexedPackage| one.package.architecture == "noarch";
        packages.iter().filter(|one| one.package.name == "kernel-devel").filter(noarch).find(same)
    });
    std::iter::once(headers).chain(shared.map(|one| &one.package)).collect()
}

/// Whether a repository has this version of rustc.
pub(super) fn has_rustc(packages: &[IndexedPackage], version: &str) -> bool {
    packages.iter().any(|one| {
        matches!(one.package.name.as_str(), "rust" | "rustc")
            && Evr::parse(&one.package.version).version() == version
    })
}

/// What a release is for, as far as its name tells: `x86_64` of `6.17.1-300.fc43.x86_64+debug`.
pub(super) fn architecture_of(release: &Release) -> Option<Architecture> {
    let (plain, _) = release.as_str().split_once('+').unwrap_or((release.as_str(), ""));
    let last = plain.rsplit('.').next()?;
    Architecture::ALL.into_iter().find(|known| known.machine() == last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::rpm_family::primary;
    use crate::distribution::rpm_family::samples::{entry, index};

    fn read(entries: &[String]) -> Vec<IndexedPackage> {
        primary::read(&index(entries), "r", |_| true).unwrap()
    }

    /// The packages of one kernel of Fedora's: plain or of a variant.
    fn fedora(version: &str, rel: &str, variant: &str) -> Vec<String> {
        let (name, end) = match variant {
            "" => ("kernel".to_owned(), String::new()),
            variant => (format!("kernel-{variant}"), format!("+{variant}")),
        };
        let release = format!("{version}-{rel}.x86_64{end}");
        let part =
            |part: &str, says: &[(&str, &str)]| entry(&format!("{name}{part}"), version, rel, "x86_64", says);
        vec![
            part("-devel", &[("kernel-devel-uname-r", &release)]),
            part("-core", &[("kernel-uname-r", &release)]),
            part("-modules-core", &[]),
            part("-modules", &[]),
        ]
    }

    #[test]
    fn a_kernel_of_fedoras_is_its_packages_of_one_version() {
        let source = entry("kernel", "6.17.10", "300.fc43", "src", &[])
            .replace("kernel-6.17.10-300.fc43.src.rpm</rpm:s", "</rpm:s");
        let entries = [
            fedora("6.17.9", "300.fc43", ""),
            fedora("6.17.10", "300.fc43", "debug"),
            fedora("6.17.10", "300.fc43", ""),
            vec![source],
        ];
        let packages = read(&entries.concat());
        let kernels = all(&packages, Architecture::Amd64);
        let releases: Vec<&str> = kernels.iter().map(|kernel| kernel.release.as_str()).collect();
        assert_eq!(
            releases,
            ["6.17.10-300.fc43.x86_64", "6.17.10-300.fc43.x86_64+debug", "6.17.9-300.fc43.x86_64"]
        );
        let found = parts(&packages, &kernels[1]).unwrap();
        let names: Vec<&str> = found.image.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["kernel-debug-core", "kernel-debug-modules-core", "kernel-debug-modules"]);
        assert_eq!((found.source.name.as_str(), found.source.architecture.as_str()), ("kernel", "src"));
        // The source of the other is gone.
        let failure = parts(&packages, &kernels[2]).unwrap_err();
        assert!(failure.to_string().contains("kernel-6.17.9-300.fc43.src.rpm"), "{failure}");
        assert_eq!(architecture_of(&kernels[1].release), Some(Architecture::Amd64));
        assert!(all(&packages, Architecture::Arm64).is_empty());
    }

    #[test]
    fn a_kernel_of_suses_is_named_by_its_version_and_flavour() {
        let own = |name: &str, arch: &str, rel: &str| entry(name, "6.4.0", rel, arch, &[]);
        let packages = read(&[
            own("kernel-default-devel", "x86_64", "150600.21.2"),
            own("kernel-default", "x86_64", "150600.21.2"),
            own("kernel-devel", "noarch", "150600.21.3"),
            own("kernel-source", "noarch", "150600.21.3"),
            own("kernel-source", "noarch", "150600.22.1"),
            own("kernel-rt-devel", "x86_64", "150600.22.1"),
        ]);
        let kernels = all(&packages, Architecture::Amd64);
        let releases: Vec<&str> = kernels.iter().map(|kernel| kernel.release.as_str()).collect();
        assert_eq!(releases, ["6.4.0-150600.22-rt", "6.4.0-150600.21-default"]);
        let found = parts(&packages, &kernels[1]).unwrap();
        assert_eq!(found.source.version, "6.4.0-150600.21.3");
        assert_eq!(found.image[0].name, "kernel-default");
        let build: Vec<&str> =
            build_packages(&packages, &kernels[1]).iter().map(|package| package.name.as_str()).collect();
        assert_eq!(build, ["kernel-default-devel", "kernel-devel"]);
        assert!(parts(&packages, &kernels[0]).unwrap_err().to_string().contains("not its image"));
    }

    #[test]
    fn versions_are_ordered_as_rpm_does() {
        assert_eq!(newer_first("1:5-1", "6-1"), Ordering::Less);
        assert_eq!(newer_first("6.10-1", "6.9-1"), Ordering::Less);
        assert_eq!(newer_first("6.10~rc1-1", "6.10-1"), Ordering::Greater);
    }
}
