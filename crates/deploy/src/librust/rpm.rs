// SPDX-License-Identifier: GPL-2.0
//! The .rpm, for a distribution whose headers are in `/usr/src/kernels/RELEASE`.

use ::rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};
use anyhow::Result;
use camino::Utf8PathBuf;

use crate::librust::content::Item;
use crate::librust::order::ArtefactOrder;
use crate::librust::words::{ENTRY, REVISION, copyright, description, summary};
use kernel::artefacts::Manifest;

/// What the sources of the artefacts are under, in SPDX's words.
const LICENCE: &str = "GPL-2.0-only AND (MIT OR Apache-2.0) AND (BSD-2-Clause OR Apache-2.0 OR MIT)";

/// Makes the package in the order's directory.
pub(super) fn make(order: &ArtefactOrder<'_>) -> Result<Utf8PathBuf> {
    let manifest = &order.packaged.manifest;
    let release = &manifest.release;
    let package = Manifest::package_of(release);
    let (version, revision) = version(&manifest.version);
    let machine = manifest.host.machine();
    let date = u32::try_from(order.date).unwrap_or(u32::MAX);
    let config = BuildConfig::v4().compression(CompressionWithLevel::Xz(6)).source_date(date);
    let mut builder = PackageBuilder::new(&package, &version, LICENCE, machine, &summary(manifest));
    builder
        .using_config(config)
        .release(&revision)
        .description(description(manifest).join("\n"))
        .packager(order.packager.as_str())
        .group("Development/System")
        .url("https://rust-for-linux.com/")
        .build_host("localhost")
        .requires(Dependency::eq("kernel-devel-uname-r", release.as_str()))
        .requires(Dependency::eq("rust", upstream(&manifest.rustc)))
        .add_changelog_entry(
            format!("{} - {version}-{revision}", order.packager.as_str()),
            format!("- {ENTRY}"),
            date,
        );
    for (path, item) in order.packaged.items()? {
        add(&mut builder, &path, item)?;
    }
    let place = Manifest::place_of(release);
    for dir in [place.clone(), place.join("rust")] {
        builder.with_dir_entry(FileOptions::dir(format!("/{dir}")))?;
    }
    let headers = format!("/usr/src/kernels/{release}");
    let mut links = vec![(format!("{headers}/rust"), format!("../../{package}/rust"))];
    if order.packaged.has_target() {
        builder.with_dir_entry(FileOptions::dir(format!("/{}", place.join("scripts"))))?;
        links.push((
            format!("{headers}/scripts/target.json"),
            format!("../../../{package}/scripts/target.json"),
        ));
    }
    for (path, target) in links {
        builder.with_symlink(FileOptions::symlink(path, target))?;
    }
    let licence =
        FileOptions::new(format!("/usr/share/licenses/{package}/copyright")).license().permissions(0o644);
    builder.with_file_contents(copyright(manifest), licence)?;
    let file = order.output.join(format!("{package}-{version}-{revision}.{machine}.rpm"));
    builder.build()?.write_file(&file)?;
    Ok(file)
}

fn add(builder: &mut PackageBuilder, path: &Utf8PathBuf, item: Item) -> Result<()> {
    match item {
        Item::File(bytes) => {
            let mode = if path.extension() == Some("so") { 0o755 } else { 0o644 };
            builder.with_file_contents(bytes, FileOptions::new(format!("/{path}")).permissions(mode))?;
        }
        Item::Link(target) => {
            builder.with_symlink(FileOptions::symlink(format!("/{path}"), target))?;
        }
    }
    Ok(())
}

/// Version and release of a package, of which rpm's have neither hyphens nor an epoch in front.
fn version(headers: &str) -> (String, String) {
    let headers = headers.split_once(':').map_or(headers, |(_, rest)| rest);
    let (version, revision) = headers.rsplit_once('-').unwrap_or((headers, "1"));
    (version.replace('-', "_"), format!("{revision}{REVISION}"))
}

/// The version in what rustc says of itself.
fn upstream(rustc: &str) -> &str {
    rustc.split(' ').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_headers() {
        for (headers, version_and_release) in [
            ("7.2.13-1", ("7.2.13", "1~kmod1")),
            ("7.2.11-1~bpo13+1", ("7.2.11", "1~bpo13+1~kmod1")),
            ("7.3~rc7-1~exp1", ("7.3~rc7", "1~exp1~kmod1")),
        ] {
            let (version, release) = version(headers);
            assert_eq!((version.as_str(), release.as_str()), version_and_release);
        }
        assert_eq!(upstream("rustc 1.97.1 (8bab26f4f 2026-07-14)"), "1.97.1");
    }
}
