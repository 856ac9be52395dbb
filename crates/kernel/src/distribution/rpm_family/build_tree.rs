// SPDX-License-Identifier: GPL-2.0
//! Headers packages as a build tree that is not installed.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::distribution::rpm_family::contents::{headers_in, unpack};
use crate::kdir::{build_of, source_of};
use kmodfile::release::Release;
use report::Report;

/// Lays out the packages in `rpms` at `place`: the headers of `release` in `build`, which are whole
/// at Fedora's; at SUSE's they lead to what all flavours share, which is `source`.
pub(super) fn lay_out(
    rpms: &[Utf8PathBuf],
    release: &Release,
    place: &Utf8Path,
    report: &Report,
) -> Result<()> {
    let unpacked = place.join("headers");
    unpack(rpms, &[], &unpacked, report)?;
    let headers = headers_in(&unpacked, release)?;
    let (build, source) = (build_of(place), source_of(place));
    fs_err::rename(&headers, &build)?;
    match shared(&unpacked)? {
        None => symlink(&build, &source)?,
        Some(shared) => {
            fs_err::rename(shared, &source)?;
            let makefile = build.join("Makefile");
            fs_err::remove_file(&makefile).with_context(|| format!("{release}: no Makefile"))?;
            fs_err::write(makefile, format!("KBUILD_OUTPUT={build}\ninclude {source}/Makefile\n"))?;
        }
    }
    Ok(fs_err::remove_dir_all(unpacked)?)
}

/// `/usr/src/linux-VERSION`, if it is among what was unpacked.
fn shared(unpacked: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    for entry in unpacked.join("usr/src").read_dir_utf8()? {
        let path = entry?.path().to_owned();
        let name = path.file_name().unwrap_or_default();
        if name.starts_with("linux-") && !name.ends_with("-obj") && !path.is_symlink() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
