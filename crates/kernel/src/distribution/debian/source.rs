// SPDX-License-Identifier: GPL-2.0
//! What is in Debian's packages, taken out with dpkg-deb(1).

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::distribution::archive::SourceTar;
use crate::headers_configuration;
use kmodfile::release::Release;
use report::Report;
use report::process::{self, Cmd};

/// The source of `release` in the package file `deb`.
pub(super) fn source_tar(deb: &Utf8Path, release: &Release) -> Result<SourceTar> {
    let top = format!("linux-source-{}", release.line());
    let file = Arc::new(File::open(deb).with_context(|| format!("opening {deb}"))?);
    let commands = vec![
        Cmd::new("dpkg-deb").args(["--fsys-tarfile", "-"]).stdin(Arc::clone(&file)),
        Cmd::new("tar").args(["--extract", "--to-stdout"]).arg(format!("./usr/src/{top}.tar.xz")),
        Cmd::new("xz").args(["--decompress", "--stdout", "--threads=0"]),
    ];
    Ok(SourceTar { commands, top, file })
}

/// Where a headers package has the files of `release`.
pub(super) fn headers_of(release: &Release) -> String {
    format!("usr/src/linux-headers-{release}")
}

/// One file of the headers package in `deb`, and no other of thousands.
pub(super) fn header(deb: &Utf8Path, release: &Release, name: &str, report: &Report) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let member = format!("{}/{name}", headers_of(release));
    let untar =
        Cmd::new("tar").arg("--extract").arg("--directory").arg(dir.path()).arg(format!("./{member}"));
    process::pipeline(&[Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb), untar], report)?;
    Ok(fs_err::read(dir.path().join(member))?)
}

/// Unpacks the kernel with its debug information out of its debug package, which holds the modules'
/// as well, below `into`, and gives its path. What has the release in its name is a link to it.
pub(super) fn debug(
    deb: &Utf8Path,
    release: &Release,
    into: &Utf8Path,
    report: &Report,
) -> Result<Utf8PathBuf> {
    let untar = Cmd::new("tar").args(["--extract", "--directory", into.as_str()]);
    let untar = untar.args(["--wildcards", "./usr/lib/debug/*vmlinux*"]);
    process::pipeline(&[Cmd::new("dpkg-deb").arg("--fsys-tarfile").arg(deb), untar], report)?;
    let file = into.join("usr/lib/debug/boot").join(format!("vmlinux-{release}"));
    file.canonicalize_utf8().with_context(|| format!("{deb} holds no kernel with debug information"))
}

/// Takes what building modules needs out of the headers package in `deb`.
pub(super) fn headers(deb: &Utf8PathBuf, release: &Release, into: &Utf8Path, report: &Report) -> Result<()> {
    let unpacked = into.join("headers");
    unpack(std::slice::from_ref(deb), &unpacked, report)?;
    let from = unpacked.join(headers_of(release));
    headers_configuration::take(&from, into)?;
    fs_err::copy(from.join("Module.symvers"), into.join("Module.symvers"))?;
    if from.join("vmlinux").exists() {
        fs_err::copy(from.join("vmlinux"), into.join("vmlinux"))?;
    }
    Ok(fs_err::remove_dir_all(unpacked)?)
}

/// Unpacks the files of package files into one tree.
pub(super) fn unpack(debs: &[Utf8PathBuf], into: &Utf8Path, report: &Report) -> Result<()> {
    fs_err::create_dir_all(into)?;
    debs.iter().try_for_each(|deb| {
        Cmd::new("dpkg-deb").arg("--extract").arg(deb).arg(into).run(report)?;
        Ok(())
    })
}
