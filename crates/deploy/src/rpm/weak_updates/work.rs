// SPDX-License-Identifier: GPL-2.0
//! Carries out what was planned.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::install::depmod;
use crate::rpm::weak_updates::layout::Modules;
use crate::rpm::weak_updates::link::LinkChange;
use crate::rpm::weak_updates::plan::WeakPlan;
use kernel::context::Context;
use kernel::workers;
use kmodfile::name;
use kmodfile::release::Release;
use report::Report;
use report::failure::Failure;

/// Makes the changes, then runs depmod for each kernel that is concerned, as many at a time as
/// `--jobs` allows, and checks its index. The caller must hold the system's lock.
///
/// # Errors
///
/// The file system's; refused, if an index does not agree with a link afterwards. The other kernels
/// are indexed all the same.
pub fn carry_out(context: &Context, modules: &Modules, plan: &WeakPlan) -> Result<()> {
    plan.changes.iter().try_for_each(|change| change.apply(modules))?;
    let changed = plan.changes.iter().map(LinkChange::kernel);
    let mut kernels: BTreeSet<&Release> = changed.chain(&plan.stale).collect();
    // One that is being removed may have no modules any more.
    kernels.retain(|kernel| modules.system().release_dir(kernel).is_ok());
    let kernels: Vec<&Release> = kernels.into_iter().collect();
    let report = &context.report;
    let indexed = workers::each(&kernels, context.jobs, |kernel| index(report, modules, kernel, plan));
    workers::parted(indexed, report).1.map_or(Ok(()), Err)
}

fn index(report: &Report, modules: &Modules, kernel: &Release, plan: &WeakPlan) -> Result<()> {
    let of_kernel = || plan.changes.iter().filter(|change| change.kernel() == kernel);
    let linked = of_kernel().filter(|change| matches!(change, LinkChange::Link { .. }));
    let wanted = linked.filter_map(|change| name::of_file(change.link().file_name()?)).collect();
    depmod::in_place(report, modules.system(), kernel, &wanted)?;
    let dir = modules.top(kernel);
    let dep = fs_err::read_to_string(dir.join("modules.dep"))?;
    let removed = of_kernel().filter(|change| change.link().symlink_metadata().is_err());
    let listed = |change: &&LinkChange| {
        let mut files = dep.lines().filter_map(|line| Some(line.split_once(':')?.0));
        files.any(|file| dir.join(file) == change.link())
    };
    match removed.into_iter().find(listed) {
        None => Ok(()),
        Some(change) => Err(Failure::refused(
            change.link().as_str(),
            "was removed and is still in modules.dep, although depmod reported success",
        )
        .remedy("run the command again with -v and see what depmod says")
        .into()),
    }
}
