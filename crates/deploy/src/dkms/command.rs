// SPDX-License-Identifier: GPL-2.0
//! The programs that are run: dkms itself, and depmod(8), which dkms only runs for the machine
//! itself.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8Path;
use dkms_conf::objections::DkmsVersion;

use crate::dkms::package::DkmsPackage;
use crate::dkms::place::Place;
use crate::dkms::status::{self, StatusRow};
use crate::install::depmod::{self, is_complaint};
use crate::install::system::TargetSystem;
use crate::install::tree::ReleaseTree;
use kernel::context::Context;
use kernel::machine::programs::{self, Program, program};
use kernel::root::host;
use kmodfile::release::Release;
use report::process::Cmd;

/// dkms; its package depends on compilers and kmod.
pub const PROGRAMS: &[Program] =
    &[program("dkms", "dkms", "registers modules and builds them for each kernel")
        .in_rpms("dkms", "dkms")
        .in_epel()];

/// The options that keep dkms from preparing and cleaning the kernel's directory. DKMS 2 runs `make
/// mrproper` there, before and after a build, which removes symbols and Rust artefacts; later
/// versions do not, and have no such options in their help.
pub(super) fn sparing(context: &Context) -> Result<&'static [&'static str]> {
    if context.dry_run {
        return Ok(&[]);
    }
    let help = host::inside(Cmd::new("dkms").arg("--help")).finish(&context.report)?;
    Ok(if help.text().contains(SPARING[0]) { SPARING } else { &[] })
}

/// Which dkms this machine has; `None` if it has none, or one that does not say.
pub(super) fn version(context: &Context) -> Result<Option<DkmsVersion>> {
    if programs::find("dkms").is_none() {
        return Ok(None);
    }
    let output = host::inside(Cmd::new("dkms").arg("--version")).finish(&context.report)?;
    Ok(output.text().parse().ok())
}

const SPARING: &[&str] = &["--no-prepare-kernel", "--no-clean-kernel"];

/// Runs `dkms status` and returns its rows.
pub fn rows(context: &Context, place: &Place, package: Option<&DkmsPackage>) -> Result<Vec<StatusRow>> {
    let cmd = dkms(context, place, "status");
    let cmd = match package {
        Some(package) => cmd.args(["-m", &package.name, "-v", &package.version]),
        None => cmd,
    };
    if programs::find("dkms").is_none() && context.dry_run {
        return Ok(Vec::new());
    }
    let output = cmd.finish(&context.report)?;
    let mut rows = status::parse(&output.text());
    if !output.status.success() && rows.is_empty() && complaints(&output.tail).next().is_some() {
        return Err(cmd.failure(&output));
    }
    rows.retain(|row| package.is_none_or(|package| row.package == *package));
    Ok(rows)
}

/// Runs depmod for a kernel. That the modules concerned are found afterwards, modprobe is asked
/// ([`crate::dkms::check`]).
pub fn depmod(context: &Context, place: &Place, release: &Release) -> Result<()> {
    depmod::in_place(&context.report, &system(place)?, release, &BTreeSet::new())
}

/// Names the links of a kernel that lead nowhere, which dkms's own depmod complains of without
/// saying which they are. A kernel whose modules are gone has none.
pub(super) fn name_dangling(context: &Context, place: &Place, release: &Release) {
    let tree = system(place).and_then(|system| ReleaseTree::scan(&system, release));
    let links = tree.iter().flat_map(ReleaseTree::dangling);
    links.for_each(|link| context.report.warn(&link.to_string()));
}

fn system(place: &Place) -> Result<TargetSystem> {
    TargetSystem::open(place.root().unwrap_or(Utf8Path::new("/")))
}

/// The lines in which dkms complains, or depmod, which it runs: both may end with status 0 then.
pub(super) fn complaints(said: &str) -> impl Iterator<Item = &str> {
    let complains = |line: &&str| {
        ["Error! ", "Warning: "].iter().any(|start| line.starts_with(start)) || is_complaint(line)
    };
    said.lines().map(str::trim_end).filter(complains)
}

/// What xz does where it is not told otherwise: DKMS before 3.1 does not tell it, and no kernel
/// takes what it does by itself.
const XZ_DEFAULTS: &str = "--check=crc32 --lzma2=dict=1MiB";

/// dkms with the distribution's compilers first in PATH, whatever toolchains the user has, and told
/// where prepared kernels are.
pub(super) fn dkms(context: &Context, place: &Place, action: &str) -> Cmd {
    let cmd = Cmd::new("dkms").arg(action).args(place.options());
    let changes_modules = matches!(action, "install" | "uninstall" | "remove");
    let cmd = if place.root().is_some() && changes_modules { cmd.arg("--no-depmod") } else { cmd };
    host::inside(cmd.env("PREPARED", context.cache.path("kernels")).env("XZ_DEFAULTS", XZ_DEFAULTS))
}
