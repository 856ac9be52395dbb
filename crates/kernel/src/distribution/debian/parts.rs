// SPDX-License-Identifier: GPL-2.0
//! The packages that one of Debian's kernels is made of.

use anyhow::Result;

use crate::distribution::archive::{ArchiveKernel, Parts};
use crate::distribution::package::{self, Package};
use report::failure::Failure;

/// Headers, image and modules, and the source of exactly the headers' version.
pub(super) fn parts<'a>(known: &'a [Package], kernel: &'a ArchiveKernel) -> Result<Parts<'a>> {
    let source = source_package(known, kernel)?;
    Ok(Parts { headers: &kernel.headers, source, image: image(known, kernel)? })
}

/// The source of exactly the version of a kernel's headers.
pub(super) fn source_package<'a>(known: &'a [Package], kernel: &ArchiveKernel) -> Result<&'a Package> {
    let headers = &kernel.headers;
    let name = format!("linux-source-{}", kernel.release.line());
    package::find(known, &name, &headers.version).ok_or_else(|| {
        let has = known.iter().filter(|package| package.name == name);
        let has = has.map(|package| package.version.as_str()).collect::<Vec<_>>().join(", ");
        Failure::refused(
            kernel.release.as_str(),
            format!(
                "its headers are version {}, and the archive has {name} only in {}",
                headers.version,
                if has.is_empty() { "no version" } else { &has }
            ),
        )
        .remedy(format!(
            "choose a kernel whose source is still there (cargo kmod kernel list), or name its source: \
             cargo kmod kernel prepare --source TARBALL --config-of {}",
            kernel.release
        ))
        .into()
    })
}

/// The image package and those of its dependencies that carry the release in their name: since
/// 7.2 Debian splits image, modules and the rest into packages of their own.
fn image<'a>(known: &'a [Package], kernel: &ArchiveKernel) -> Result<Vec<&'a Package>> {
    let find = |name: &str| package::find(known, name, &kernel.headers.version);
    let name = format!("linux-image-{}", kernel.release);
    let image = find(&name).ok_or_else(|| {
        Failure::refused(
            kernel.release.as_str(),
            format!(
                "the archive has its headers in version {}, but not {name} of that version",
                kernel.headers.version
            ),
        )
        .remedy("choose another kernel: cargo kmod kernel list")
    })?;
    let ours = |name: &&str| name.ends_with(kernel.release.as_str()) && !name.starts_with("linux-headers-");
    let parts = image.depends.iter().map(|dependency| dependency.name.as_str()).filter(ours).filter_map(find);
    Ok(std::iter::once(image).chain(parts).collect())
}

/// The debug package of exactly the version of a kernel's headers.
pub(super) fn debug_package<'a>(known: &'a [Package], kernel: &ArchiveKernel) -> Result<&'a Package> {
    let (release, version) = (&kernel.release, &kernel.headers.version);
    let name = format!("linux-image-{release}-dbg");
    package::find(known, &name, version).ok_or_else(|| {
        let reason = format!("the archive has no {name} of version {version}, that of its headers");
        Failure::refused(release.as_str(), reason)
            .remedy(format!(
                "put the kernel with its debug information at /usr/lib/debug/boot/vmlinux-{release}"
            ))
            .into()
    })
}

/// The headers, and those of their dependencies that are of the same version: the headers of all
/// flavours, and Kbuild's own programs.
pub(super) fn build_packages<'a>(
    known: &'a [Package],
    kernel: &'a ArchiveKernel,
) -> Result<Vec<&'a Package>> {
    let headers = &kernel.headers;
    let ours = |name: &&str| name.starts_with("linux-headers-") || name.starts_with("linux-kbuild-");
    let names = headers.depends.iter().map(|dependency| dependency.name.as_str()).filter(ours);
    let others = names.map(|name| {
        package::find(known, name, &headers.version).ok_or_else(|| {
            let reason = format!(
                "the archive has its headers in version {0}, but not {name} of that version",
                headers.version
            );
            Failure::refused(kernel.release.as_str(), reason)
                .remedy("choose another kernel: cargo kmod kernel list")
                .into()
        })
    });
    std::iter::once(Ok(headers)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::debian::index::read_index;
    use report::failure::{Exit, remedy_of};

    /// A package that depends on `depends`.
    fn package(name: &str, version: &str, depends: &[&str]) -> Package {
        let paragraph = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {}\nFilename: f\nSize: 1\nSHA256: {name}\n",
            depends.join(", ")
        );
        read_index(&paragraph, "http://m", "trixie-backports", |_| true).remove(0)
    }

    const RELEASE: &str = "7.2.11+deb13-cloud-amd64";

    fn kernel(version: &str) -> ArchiveKernel {
        let headers =
            package(&format!("linux-headers-{RELEASE}"), version, &["linux-headers-7.2.11+deb13-common"]);
        ArchiveKernel { release: RELEASE.parse().unwrap(), headers }
    }

    fn archive(source: &str, image: &str) -> Vec<Package> {
        let part = |kind: &str| format!("linux-{kind}-{RELEASE}");
        vec![
            package("linux-source-7.2", source, &[]),
            package("linux-source-6.12", "7.2.11-1", &[]),
            package(
                &part("image"),
                image,
                &[&part("binary"), &part("modules"), "linux-base (>= 4)", "dracut"],
            ),
            package(&part("binary"), image, &[]),
            package(&part("modules"), image, &[]),
        ]
    }

    #[test]
    fn a_kernel_is_headers_source_and_image_of_one_version() {
        let (archive, kernel) = (archive("7.2.11-1", "7.2.11-1"), kernel("7.2.11-1"));
        let packages = parts(&archive, &kernel).unwrap();
        assert_eq!(packages.source.name, "linux-source-7.2");
        let names: Vec<_> =
            packages.image.iter().map(|package| package.name.split('-').nth(1).unwrap()).collect();
        assert_eq!(names, ["image", "binary", "modules"]);
    }

    #[test]
    fn debug_information_is_of_the_very_version() {
        let name = format!("linux-image-{RELEASE}-dbg");
        let archive = [package(&name, "7.2.11-1", &[]), package(&name, "7.2.11-2", &[])];
        let found = debug_package(&archive, &kernel("7.2.11-2")).unwrap();
        assert_eq!((&found.name, found.version.as_str()), (&name, "7.2.11-2"));
        let error = debug_package(&archive, &kernel("7.2.11-3")).unwrap_err();
        assert_eq!(report::failure::exit_of(&error), Exit::Refused);
        assert!(error.to_string().contains(&format!("no {name} of version 7.2.11-3")), "{error}");
    }

    #[test]
    fn source_or_image_of_another_version_is_refused() {
        for (archive, named) in [
            (archive("7.2.12-1", "7.2.11-1"), "linux-source-7.2 only in 7.2.12-1"),
            (archive("7.2.11-1", "7.2.11-2"), "not linux-image-7.2.11+deb13-cloud-amd64"),
        ] {
            let kernel = kernel("7.2.11-1");
            let error = parts(&archive, &kernel).err().unwrap();
            assert_eq!(report::failure::exit_of(&error), Exit::Refused);
            assert!(error.to_string().contains(named), "{error}");
            let names_source =
                remedy_of(&error).unwrap().contains("--source TARBALL --config-of 7.2.11+deb13");
            assert_eq!(names_source, named.contains("linux-source"), "{error}");
        }
    }
}
