// SPDX-License-Identifier: GPL-2.0
//! Removes a build root, and nothing else.
//!
//! A tree into which somebody bound the host's `/dev` must not be emptied through that mount.
//! Refused first: a root below which anything is mounted. Then the removal runs in a private mount
//! namespace where whatever may have been mounted meanwhile is detached and proven gone.

use anyhow::Result;
use camino::Utf8Path;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use crate::context::Context;
use crate::root::environment::namespaces;
use crate::root::mounts;
use report::failure::Failure;

/// Removes the tree at `dir`, which is in the cache. Refused while anything is mounted below it.
pub fn remove(context: &Context, dir: &Utf8Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    refuse_mounts(dir)?;
    let outer = namespaces().arg(&context.program).arg("remove-root").arg(dir);
    outer.run(&context.report)?;
    Ok(())
}

/// The second half, inside namespaces of its own: the hidden command `remove-root`.
pub fn remove_in_namespace(dir: &Utf8Path) -> Result<()> {
    anyhow::ensure!(
        rustix::process::getpid().as_raw_nonzero().get() == 1,
        "remove-root runs in namespaces of its own only"
    );
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for point in mounts::below(dir)? {
        rustix::mount::unmount(point.as_std_path(), UnmountFlags::DETACH)?;
    }
    refuse_mounts(dir)?;
    // Does not follow symbolic links.
    Ok(fs_err::remove_dir_all(dir)?)
}

fn refuse_mounts(dir: &Utf8Path) -> Result<()> {
    let points = mounts::below(dir)?;
    if points.is_empty() {
        return Ok(());
    }
    let list = points.iter().map(|point| point.as_str()).collect::<Vec<_>>();
    Err(Failure::refused(
        dir.as_str(),
        format!("not removed: file systems are mounted below it: {}", list.join(", ")),
    )
    .remedy(format!("umount {}", list.join(" ")))
    .into())
}
