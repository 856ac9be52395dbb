// SPDX-License-Identifier: GPL-2.0
//! Which kernels the archive has, and what is known of each without unpacking it whole.

use std::cmp::Ordering;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::archive::package::Package;
use crate::archive::{Archive, version};
use crate::context::Context;
use crate::root::recipe::base_suite;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};
use report::process::{self, Cmd};

/// The flavour built for when none is named: the smallest, and the quickest to boot.
pub const DEFAULT_FLAVOUR: &str = "cloud-amd64";

/// A kernel of the archive: its release and its headers package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` prints on it.
    pub release: Release,
    /// The package that holds its configuration and symbols.
    pub headers: Package,
}

/// What a kernel's configuration says that matters to modules.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Whether it has Rust (`CONFIG_RUST`).
    pub rust: bool,
    /// Its C compiler's command.
    pub compiler: String,
    /// Its Rust compiler's version, `1.85.1`.
    pub rustc: Option<String>,
    /// Whether symbols carry CRCs (`CONFIG_MODVERSIONS`).
    pub modversions: bool,
}

impl Facts {
    /// Reads them from a configuration.
    pub fn of(config: &Config) -> Self {
        let rust = config.is_yes("CONFIG_RUST");
        let rustc = config
            .get("CONFIG_RUSTC_VERSION_TEXT")
            .and_then(|text| text.split(' ').nth(1))
            .map(str::to_owned);
        Self {
            rust,
            compiler: config.compiler().unwrap_or("unknown").to_owned(),
            rustc: rustc.filter(|_| rust),
            modversions: config.is_yes("CONFIG_MODVERSIONS"),
        }
    }
}

/// All kernels of the archive whose headers it has, newest first.
pub fn all(archive: &Archive<'_>) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = archive.packages().iter().filter_map(kernel).collect();
    kernels.sort_by(newest_first);
    // The same release may stand in two suites, a point of time apart: the newer package is meant.
    kernels.dedup_by(|a, b| a.release == b.release);
    kernels
}

fn newest_first(a: &Kernel, b: &Kernel) -> Ordering {
    version::compare(&b.headers.version, &a.headers.version).then_with(|| a.release.cmp(&b.release))
}

/// A headers package of one release; `-common` packages and the ones that only depend on the newest are not.
fn kernel(package: &Package) -> Option<Kernel> {
    let release: Release = package.name.strip_prefix("linux-headers-")?.parse().ok()?;
    let complete = package.depends.iter().any(|dependency| dependency.name.contains("-common"));
    let one = complete && !release.as_str().contains("-common");
    one.then(|| Kernel { release, headers: package.clone() })
}

/// The kernel of this release, if the indexes that there are have it.
pub fn known(archive: &Archive<'_>, release: &Release) -> Option<Kernel> {
    all(archive).into_iter().find(|kernel| kernel.release == *release)
}

/// The kernel of this release. An unknown one is looked for again in fresh indexes, then refused with
/// the nearest names.
pub fn find(archive: &mut Archive<'_>, release: &Release) -> Result<Kernel> {
    if let Some(kernel) = known(archive, release) {
        return Ok(kernel);
    }
    if archive.refresh_once()?
        && let Some(kernel) = known(archive, release)
    {
        return Ok(kernel);
    }
    let kernels = all(archive);
    let names = nearest(release.as_str(), kernels.iter().map(|kernel| kernel.release.as_str()), 3);
    Err(Failure::new(
        Exit::Missing,
        release.as_str(),
        format!("no such kernel in the archive; the nearest are {}", names.join(", ")),
    )
    .remedy("cargo kmod kernel list")
    .into())
}

/// The `count` of `names` that are most like `wanted`.
fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut ranked: Vec<_> =
        names.into_iter().map(|name| (strsim::levenshtein(wanted, name), name)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, name)| name).take(count).collect()
}

/// The configuration of a kernel, from its headers package (a few megabytes, kept).
pub fn config(context: &Context, archive: &Archive<'_>, kernel: &Kernel) -> Result<Config> {
    let kept = kept_config(context, &kernel.headers);
    Ok(Config::parse(&of_headers(context, archive, kernel, ".config", &kept)?))
}

/// The text of a kernel's `Module.symvers`, from its headers package likewise.
pub fn symvers(context: &Context, archive: &Archive<'_>, kernel: &Kernel) -> Result<String> {
    let kept = context.cache.path(format!("archive/symvers/{}", kernel.headers.sha256));
    of_headers(context, archive, kernel, "Module.symvers", &kept)
}

/// One file of a kernel's headers package, kept at `kept`.
fn of_headers(
    context: &Context,
    archive: &Archive<'_>,
    kernel: &Kernel,
    name: &str,
    kept: &Utf8Path,
) -> Result<String> {
    if !kept.exists() {
        let deb = archive.fetch(&[&kernel.headers])?.remove(0);
        let dir = tempfile::tempdir().context("making a temporary directory")?;
        let member = format!("usr/src/linux-headers-{}/{name}", kernel.release);
        // Only this file of thousands.
        let untar =
            Cmd::new("tar").arg("--extract").arg("--directory").arg(dir.path()).arg(format!("./{member}"));
        process::pipeline(&[Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb), untar], &context.report)?;
        fs_err::create_dir_all(kept.parent().expect("a file in the cache"))?;
        let partial = kept.with_extension(std::process::id().to_string());
        fs_err::copy(dir.path().join(member), &partial)?;
        fs_err::rename(&partial, kept)?;
    }
    Ok(fs_err::read_to_string(kept)?)
}

/// Whether [`config`] needs to fetch this headers package first.
pub fn config_known(context: &Context, headers: &Package) -> bool {
    kept_config(context, headers).exists()
}

fn kept_config(context: &Context, headers: &Package) -> Utf8PathBuf {
    context.cache.path(format!("archive/configs/{}", headers.sha256))
}

/// The newest kernel with Rust of the default flavour whose compiler its suite still has: a suite under
/// development may be ahead of its kernel for some days.
pub fn default(context: &Context, archive: &Archive<'_>) -> Result<Kernel> {
    let candidates = all(archive).into_iter().filter(|kernel| kernel.release.flavour() == DEFAULT_FLAVOUR);
    for kernel in candidates {
        let facts = Facts::of(&config(context, archive, &kernel)?);
        if facts.rust && has_rustc(archive, base_suite(&kernel.headers.suite), facts.rustc.as_deref()) {
            return Ok(kernel);
        }
    }
    Err(Failure::missing(
        "default kernel",
        format!(
            "the archive has no {DEFAULT_FLAVOUR} kernel with CONFIG_RUST and the compiler it was built with"
        ),
    )
    .remedy("cargo kmod kernel list")
    .into())
}

/// Whether `suite` has this version of rustc; Debian's versions go on after it, `1.85.1+dfsg1-1`.
fn has_rustc(archive: &Archive<'_>, suite: &str, version: Option<&str>) -> bool {
    let is_it =
        |found: &str| version.is_some_and(|version| found.split(['+', '-', '~']).next() == Some(version));
    archive
        .packages()
        .iter()
        .any(|package| package.name == "rustc" && package.suite == suite && is_it(&package.version))
}

/// Releases whose image the distribution signed for Secure Boot, newest first.
pub fn with_signed_image(archive: &Archive<'_>) -> Vec<Release> {
    let releases = all(archive).into_iter().map(|kernel| kernel.release);
    releases.filter(|release| has_signed_image(archive.packages(), release)).collect()
}

/// Whether the distribution signed the image of `release` for Secure Boot. Debian signs in a source package of its own, after
/// which the pool's directory is named; since 7.2 the image is in `linux-binary-RELEASE`.
pub fn has_signed_image(packages: &[Package], release: &Release) -> bool {
    let names = ["linux-image", "linux-binary"].map(|part| format!("{part}-{release}"));
    let signed = |package: &Package| package.uri.contains("/linux-signed-") && names.contains(&package.name);
    packages.iter().any(signed)
}

/// Releases with Rust, newest first.
pub fn with_rust(context: &Context, archive: &Archive<'_>) -> Result<Vec<Release>> {
    let mut releases = Vec::new();
    for kernel in all(archive) {
        if Facts::of(&config(context, archive, &kernel)?).rust {
            releases.push(kernel.release);
        }
    }
    Ok(releases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::package::read_index;

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
    fn nearest_names_come_first() {
        let names = ["6.12.107+deb13-amd64", "7.2.11+deb13-cloud-amd64", "7.2.9+deb13-cloud-amd64"];
        assert_eq!(nearest("7.2.1+deb13-cloud-amd64", names, 2), [names[1], names[2]]);
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

    #[test]
    fn facts_come_from_the_configuration() {
        let facts = Facts::of(&Config::parse(
            "CONFIG_CC_VERSION_TEXT=\"gcc-14 (D) 14.2\"\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (x)\"\n",
        ));
        assert_eq!(
            (facts.rust, facts.rustc.as_deref(), facts.compiler.as_str()),
            (true, Some("1.85.1"), "gcc-14")
        );
    }
}
