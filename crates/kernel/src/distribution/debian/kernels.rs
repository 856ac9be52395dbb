// SPDX-License-Identifier: GPL-2.0
//! Which of Debian's packages are kernels.

use std::cmp::Ordering;

use crate::distribution::archive::ArchiveKernel;
use crate::distribution::package::Package;
use crate::version;
use kmodfile::release::Release;

/// All kernels whose headers are among `packages`, newest first.
pub fn all(packages: &[Package]) -> Vec<ArchiveKernel> {
    let mut kernels: Vec<ArchiveKernel> = packages.iter().filter_map(kernel).collect();
    kernels.sort_by(newest_first);
    // The same release may stand in two suites, a point of time apart: the newer package is meant.
    kernels.dedup_by(|a, b| a.release == b.release);
    kernels
}

fn newest_first(a: &ArchiveKernel, b: &ArchiveKernel) -> Ordering {
    version::compare(&b.headers.version, &a.headers.version).then_with(|| a.release.cmp(&b.release))
}

/// A headers package of one release; `-common` packages and the ones that only depend on the newest
/// are not.
fn kernel(package: &Package) -> Option<ArchiveKernel> {
    let release: Release = package.name.strip_prefix("linux-headers-")?.parse().ok()?;
    let complete = package.depends.iter().any(|dependency| dependency.name.contains("-common"));
    let one = complete && !release.as_str().contains("-common");
    one.then(|| ArchiveKernel { release, headers: package.clone() })
}

/// Whether `suite` has this version of rustc; Debian's versions go on after it, `1.85.1+dfsg1-1`.
pub fn has_rustc(packages: &[Package], suite: &str, version: &str) -> bool {
    let is_it = |found: &str| found.split(['+', '-', '~']).next() == Some(version);
    packages
        .iter()
        .any(|package| package.name == "rustc" && package.suite == suite && is_it(&package.version))
}

/// Whether the distribution signed the image of `release` for Secure Boot. Debian signs in a source
/// package of its own, after which the pool's directory is named; since 7.2 the image is in
/// `linux-binary-RELEASE`.
pub fn has_signed_image(packages: &[Package], release: &Release) -> bool {
    let names = ["linux-image", "linux-binary"].map(|part| format!("{part}-{release}"));
    let signed = |package: &Package| package.uri.contains("/linux-signed-") && names.contains(&package.name);
    packages.iter().any(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::debian::index::read_index;

    fn packages(names: &[(&str, &str, &str)]) -> Vec<Package> {
        let paragraph = |(name, version, depends): &(&str, &str, &str)| {
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\nFilename: f\nSize: 1\nSHA256: 0\n"
            )
        };
        let index = names.iter().map(paragraph).collect::<Vec<_>>().join("\n");
        read_index(&index, "http://m", "s", |_| true)
    }

    #[test]
    fn only_headers_of_one_release_are_kernels() {
        let packages = packages(&[
            (
                "linux-headers-7.2.11+deb13-cloud-amd64",
                "7.2.11-1",
                "linux-headers-7.2.11+deb13-common (= 7.2.11-1)",
            ),
            ("linux-headers-7.2.11+deb13-common", "7.2.11-1", "x"),
            ("linux-headers-7.2.11+deb13-common-rt", "7.2.11-1", "linux-headers-7.2.11+deb13-common"),
            ("linux-headers-cloud-amd64", "7.2.11-1", "linux-headers-7.2.11+deb13-cloud-amd64 (= 7.2.11-1)"),
        ]);
        let kernels: Vec<_> =
            packages.iter().filter_map(kernel).map(|kernel| kernel.release.to_string()).collect();
        assert_eq!(kernels, ["7.2.11+deb13-cloud-amd64"]);
    }

    #[test]
    fn kernels_are_ordered_by_version_not_by_text() {
        let packages = packages(&[
            ("linux-headers-7.2.9+deb13-amd64", "7.2.9-1", "linux-headers-7.2.9+deb13-common"),
            ("linux-headers-7.2.11+deb13-amd64", "7.2.11-1", "linux-headers-7.2.11+deb13-common"),
        ]);
        let mut kernels: Vec<_> = packages.iter().filter_map(kernel).collect();
        kernels.sort_by(newest_first);
        assert_eq!(kernels[0].release.as_str(), "7.2.11+deb13-amd64");
    }

    #[test]
    fn a_signed_image_comes_from_a_source_package_of_its_own() {
        let package = |name: &str, source: &str| {
            let uri = format!("pool/main/l/{source}/{name}.deb");
            let paragraph = format!(
                "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: {uri}\nSize: 1\nSHA256: 0\n"
            );
            read_index(&paragraph, "http://m", "s", |_| true).remove(0)
        };
        let packages = [
            package("linux-image-6.12.9-amd64", "linux-signed-amd64"),
            package("linux-image-6.12.9-rt-amd64-unsigned", "linux"),
            package("linux-binary-7.2.9-amd64", "linux-signed-amd64"),
            package("linux-binary-unsigned-7.3-amd64", "linux"),
            package("linux-image-7.3-amd64", "linux"),
        ];
        let table =
            [("6.12.9-amd64", true), ("6.12.9-rt-amd64", false), ("7.2.9-amd64", true), ("7.3-amd64", false)];
        for (release, signed) in table {
            assert_eq!(has_signed_image(&packages, &release.parse().unwrap()), signed, "{release}");
        }
    }
}
