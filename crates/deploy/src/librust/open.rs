// SPDX-License-Identifier: GPL-2.0
//! A package of artefacts, of whichever format, that somebody gives.

use anyhow::{Context as _, Result};
use camino::{Utf8Component, Utf8Path};

use crate::rpm::payload::{OpenPackage, is_package};
use kernel::artefacts::SuppliedArtefacts;
use kernel::context::Context;
use report::failure::Failure;
use report::process::Cmd;

/// Where packages put artefacts: a directory per release.
const PLACE: &str = "usr/src";

/// What the name of such a directory begins with.
const NAME: &str = "linux-librust-";

/// The artefacts in the package `file`.
///
/// # Errors
///
/// Missing, if there is no such file; refused, if it is damaged, or no package of artefacts.
pub fn open(context: &Context, file: &Utf8Path) -> Result<SuppliedArtefacts> {
    if !file.is_file() {
        return Err(Failure::missing(file.as_str(), "no such file")
            .remedy("give a package that cargo kmod kernel package made")
            .into());
    }
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let tree = Utf8Path::from_path(dir.path()).context("the cache's name is text")?.to_owned();
    let step = context.report.step("Unpacking", file.as_str());
    if is_package(file) {
        unpack_rpm(file, &tree)?
    } else {
        unpack_deb(context, file, &tree)?
    }
    step.done("Unpacked", file.as_str());
    let entries = tree.join(PLACE).read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let mut places = entries.filter(|entry| entry.file_name().starts_with(NAME));
    let place = places.next().ok_or_else(|| {
        Failure::refused(
            file.as_str(),
            format!("holds no Rust artefacts: it has nothing in /{PLACE}/{NAME}RELEASE"),
        )
        .remedy("give a package that cargo kmod kernel package made")
    })?;
    SuppliedArtefacts::unpacked(dir, place.path(), file.as_str())
}

fn unpack_deb(context: &Context, file: &Utf8Path, tree: &Utf8Path) -> Result<()> {
    let output = Cmd::new("dpkg-deb").arg("--extract").arg(file).arg(tree).finish(&context.report)?;
    if output.status.success() {
        return Ok(());
    }
    let said = output.tail.lines().next_back().unwrap_or_default().to_owned();
    Err(Failure::refused(file.as_str(), format!("is not a whole package: {said}"))
        .remedy("build or download it again")
        .into())
}

/// Files alone, and only with plain names below the place of artefacts.
fn unpack_rpm(file: &Utf8Path, tree: &Utf8Path) -> Result<()> {
    let wanted =
        |path: &Utf8Path| path.starts_with(Utf8Path::new("/").join(PLACE)) && path.as_str().contains(NAME);
    for (path, bytes) in OpenPackage::read(file)?.files(wanted)? {
        let plain = |part: &Utf8Component<'_>| matches!(part, Utf8Component::Normal(_));
        let below = path.strip_prefix("/").unwrap_or(&path);
        if !below.components().all(|part| plain(&part)) {
            return Err(Failure::refused(file.as_str(), format!("{path} in it leads elsewhere")).into());
        }
        let to = tree.join(below);
        fs_err::create_dir_all(to.parent().context("a file is in a directory")?)?;
        fs_err::write(to, bytes)?;
    }
    Ok(())
}
