// SPDX-License-Identifier: GPL-2.0
//! Finds kernels in an archive, and the facts about them that need no complete unpacking.

use anyhow::Result;
use serde::Serialize;

use crate::context::Context;
use crate::distribution::{Age, Archive, ArchiveKernel, Distribution, known as distributions};
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};

/// What a kernel's configuration says that matters to modules.
#[derive(Clone, Debug, Serialize)]
pub struct KernelFacts {
    /// Whether it has Rust (`CONFIG_RUST`).
    pub rust: bool,
    /// Its C compiler's command.
    pub compiler: String,
    /// Its Rust compiler's version, `1.85.1`.
    pub rustc: Option<String>,
    /// Whether symbols carry CRCs (`CONFIG_MODVERSIONS`).
    pub modversions: bool,
}

impl KernelFacts {
    /// Reads them from a configuration.
    pub fn of(config: &Config) -> Self {
        let rust = config.is_yes("CONFIG_RUST");
        let rustc = config
            .get("CONFIG_RUSTC_VERSION_TEXT")
            .and_then(|text| text.split(' ').nth(1))
            .map(str::to_owned);
        Self {
            rust,
            compiler: compiler(config),
            rustc: rustc.filter(|_| rust),
            modversions: config.is_yes("CONFIG_MODVERSIONS"),
        }
    }
}

/// The C compiler by the name that its package has: `x86_64-linux-gnu-gcc-14`, `clang-21`.
fn compiler(config: &Config) -> String {
    // A number of three parts, two digits each but for the first: 210108.
    let clang = config.get("CONFIG_CLANG_VERSION").and_then(|version| version.parse::<u32>().ok());
    match clang.filter(|_| config.is_of_clang()) {
        Some(version) => format!("clang-{}", version / 10_000),
        None => config.compiler().unwrap_or("unknown").to_owned(),
    }
}

/// The kernel of this release, if the present indexes have it.
pub fn known(archive: &dyn Archive, release: &Release) -> Option<ArchiveKernel> {
    archive.kernels().into_iter().find(|kernel| kernel.release == *release)
}

/// The kernel of this release, and the archive that has it: that of the current releases, else that
/// of what is tried out, or of the previous release, whose kernels are meant only when they are
/// named.
///
/// # Errors
///
/// As [`find`], if none has it.
pub fn named<'a>(context: &'a Context, release: &Release) -> Result<(Box<dyn Archive + 'a>, ArchiveKernel)> {
    let distribution = distributions::usual();
    let mut current = distribution.archive_of(context, Age::Current, Some(release))?;
    if let Some(kernel) = known(&*current, release) {
        return Ok((current, kernel));
    }
    for age in [Age::Next, Age::Old] {
        // One that was never looked at is left out where there is no network.
        let Ok(other) = distribution.archive_of(context, age, Some(release)) else { continue };
        if let Some(kernel) = known(&*other, release) {
            return Ok((other, kernel));
        }
    }
    let kernel = find(&mut *current, release)?;
    Ok((current, kernel))
}

/// The kernel of this release, or the default one, and the archive that has it.
pub fn named_or_default<'a>(
    context: &'a Context,
    release: Option<&Release>,
) -> Result<(Box<dyn Archive + 'a>, ArchiveKernel)> {
    if let Some(release) = release {
        return named(context, release);
    }
    let distribution = distributions::usual();
    let archive = distribution.archive(context, Age::Current)?;
    let kernel = default(distribution, &*archive)?;
    Ok((archive, kernel))
}

/// The kernel of this release. An unknown one is looked for again in fresh indexes, then refused
/// with the nearest names.
pub fn find(archive: &mut dyn Archive, release: &Release) -> Result<ArchiveKernel> {
    if let Some(kernel) = known(archive, release) {
        return Ok(kernel);
    }
    if archive.refresh_once()?
        && let Some(kernel) = known(archive, release)
    {
        return Ok(kernel);
    }
    let kernels = archive.kernels();
    let names = nearest(release.as_str(), kernels.iter().map(|kernel| kernel.release.as_str()), 3);
    let has = match names.as_slice() {
        [] => "it has no kernel at all".to_owned(),
        names => format!("the nearest are {}", names.join(", ")),
    };
    Err(Failure::new(Exit::Missing, release.as_str(), format!("no such kernel in the archive; {has}"))
        .remedy("cargo kmod kernel list")
        .into())
}

/// The newest kernel with Rust of the default flavour whose compiler its suite still has: a suite
/// under development may be ahead of its kernel for some days.
pub fn default(distribution: &dyn Distribution, archive: &dyn Archive) -> Result<ArchiveKernel> {
    let flavour = distribution.default_flavour(archive.architecture());
    for kernel in archive.kernels().into_iter().filter(|kernel| kernel.release.flavour() == flavour) {
        let facts = KernelFacts::of(&archive.config(&kernel)?);
        if facts.rust && facts.rustc.is_some_and(|version| archive.has_rustc(&kernel, &version)) {
            return Ok(kernel);
        }
    }
    let kernel = if flavour.is_empty() { "kernel".to_owned() } else { format!("{flavour} kernel") };
    let reason = format!("the archive has no {kernel} with CONFIG_RUST and the compiler it was built with");
    Err(Failure::missing("default kernel", reason).remedy("cargo kmod kernel list").into())
}

/// Releases whose image the distribution signed for Secure Boot, newest first.
pub fn with_signed_image(archive: &dyn Archive) -> Vec<Release> {
    let releases = archive.kernels().into_iter().map(|kernel| kernel.release);
    releases.filter(|release| archive.image_is_signed(release)).collect()
}

/// Releases with Rust, newest first.
pub fn with_rust(archive: &dyn Archive) -> Result<Vec<Release>> {
    let mut releases = Vec::new();
    for kernel in archive.kernels() {
        if KernelFacts::of(&archive.config(&kernel)?).rust {
            releases.push(kernel.release);
        }
    }
    Ok(releases)
}

/// The `count` of `names` that are most like `wanted`.
fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut ranked: Vec<_> =
        names.into_iter().map(|name| (strsim::levenshtein(wanted, name), name)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, name)| name).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_come_first() {
        let names = ["6.12.107+deb13-amd64", "7.2.11+deb13-cloud-amd64", "7.2.9+deb13-cloud-amd64"];
        assert_eq!(nearest("7.2.1+deb13-cloud-amd64", names, 2), [names[1], names[2]]);
    }

    #[test]
    fn facts_come_from_the_configuration() {
        let facts = KernelFacts::of(&Config::parse(
            "CONFIG_CC_VERSION_TEXT=\"gcc-14 (D) 14.2\"\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (x)\"\n",
        ));
        assert_eq!(
            (facts.rust, facts.rustc.as_deref(), facts.compiler.as_str()),
            (true, Some("1.85.1"), "gcc-14")
        );
        let clang = "CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=210108\nCONFIG_CC_VERSION_TEXT=\"Debian clang version 21.1.8 (14)\"\n";
        assert_eq!(KernelFacts::of(&Config::parse(clang)).compiler, "clang-21");
    }
}
