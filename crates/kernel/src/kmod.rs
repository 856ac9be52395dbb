// SPDX-License-Identifier: GPL-2.0
//! The kmod of a system: what it was built for, out of its own mouth.

use kmodfile::load::unpacking::Kmod;
use report::Report;
use report::process::Cmd;

use crate::context::Context;
use crate::root::host;
use crate::root::{Access, Root};

/// The kmod of a build root; that of a kernel is of the same release of the distribution. `None` if
/// it has none, or does not say.
pub fn of(context: &Context, root: &Root) -> Option<Kmod> {
    said(root.inside(context, asked(), &Access::default()), &context.report)
}

/// The kmod of this machine.
pub fn of_host(report: &Report) -> Option<Kmod> {
    said(host::inside(asked()), report)
}

fn asked() -> Cmd {
    Cmd::new("kmod").arg("--version")
}

fn said(cmd: Cmd, report: &Report) -> Option<Kmod> {
    Kmod::parse(&cmd.read(report).ok()?)
}
