// SPDX-License-Identifier: GPL-2.0
//! The source of a kernel of the distribution's, as it packs it: what kernels from source are made
//! of here.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _};
use kmodfile::release::Release;
use report::Report;
use report::process::{Cmd, pipeline};

/// Puts the tar file with the source of `release` below `into`.
pub(crate) fn tarball(context: &Context, release: &Release, into: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    let archive = DebianArchive::open(context, Age::Current)?;
    let kernel = kernel::discover::known(&archive, release)
        .ok_or_else(|| anyhow::anyhow!("{release} is no longer in the archive"))?;
    let deb = archive.fetch(&[archive.source(&kernel)?])?.remove(0);
    let packed = format!("./usr/src/linux-source-{}.tar.xz", release.line());
    let unpack = Cmd::new("tar").arg("--extract").arg("--directory").arg(into).arg(&packed);
    pipeline(&[Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb), unpack], &Report::silent())?;
    Ok(into.join(packed))
}
