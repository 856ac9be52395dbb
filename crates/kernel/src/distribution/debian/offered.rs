// SPDX-License-Identifier: GPL-2.0
//! The artefacts that the host's own apt has a package of.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::artefacts::{Manifest, SuppliedArtefacts};
use crate::distribution::debian::source;
use kmodfile::release::Release;
use report::Report;
use report::process::Cmd;

/// The artefacts of `release` from the sources of the host's apt; `None`, if these have no such
/// package.
pub(super) fn offered(release: &Release, report: &Report) -> Result<Option<SuppliedArtefacts>> {
    let name = Manifest::package_of(release);
    let known = Cmd::new("apt-cache").args(["show", "--no-all-versions"]).arg(&name).finish(report)?;
    if !known.status.success() || known.stdout.is_empty() {
        return Ok(None);
    }
    let dir = tempfile::tempdir()?;
    let path = Utf8Path::from_path(dir.path()).context("the directory's name is text")?;
    let step = report.step("Fetching", &name);
    Cmd::new("apt-get").arg("download").arg(&name).cwd(path).run(report)?;
    step.done("Fetched", &name);
    let entries = path.read_dir_utf8()?.filter_map(Result::ok).map(|entry| entry.path().to_owned());
    let debs: Vec<Utf8PathBuf> = entries.filter(|file| file.extension() == Some("deb")).collect();
    let tree = path.join("tree");
    source::unpack(&debs, &tree, report)?;
    let place = tree.join(Manifest::place_of(release));
    SuppliedArtefacts::unpacked(dir, &place, &format!("{name} of an apt source")).map(Some)
}
