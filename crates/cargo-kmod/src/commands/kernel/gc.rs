// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel gc`.

use anyhow::Result;
use camino::Utf8PathBuf;

use deploy::rpm;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::kdir::Kdir;
use kernel::root::removal;
use kernel::root::tree::lock_name;

/// Build roots that no prepared kernel names, half-made things, and fetched packages.
pub(super) fn gc(context: &Context) -> Result<()> {
    let mut freed = unused_roots(context)?;
    freed.extend(fetched_packages(context)?);
    context.report.data(&freed);
    let verb = if context.dry_run { "would remove" } else { "removed" };
    freed.iter().for_each(|path| context.report.say(&format!("{verb} {path}")));
    Ok(())
}

/// Removes the build roots that no prepared kernel uses, and gives their places.
fn unused_roots(context: &Context) -> Result<Vec<Utf8PathBuf>> {
    let mut used = Vec::new();
    for kdir in Kdir::all(&context.cache, &context.report) {
        used.extend([kdir.stamp().recipe.identity(), rpm::ready::recipe(&kdir)?.identity()]);
    }
    let mut freed = Vec::new();
    for entry in context.cache.path("roots").read_dir_utf8().into_iter().flatten() {
        let entry = entry?;
        let identity = entry.file_name().trim_end_matches(".partial");
        if used.iter().any(|used| used == entry.file_name()) {
            continue;
        }
        let Some(_lock) = context.cache.try_lock(&lock_name(identity))? else {
            context.report.note("Keeping", &format!("{}: another run uses it", entry.path()));
            continue;
        };
        if !context.dry_run {
            removal::remove(context, entry.path())?;
        }
        freed.push(entry.path().to_owned());
    }
    Ok(freed)
}

/// Removes packages that were fetched, of which everything is kept that was made of them, and gives
/// their places.
fn fetched_packages(context: &Context) -> Result<Vec<Utf8PathBuf>> {
    let fetched = known::ALL.iter().flat_map(|distribution| distribution.fetched());
    let mut fetched: Vec<Utf8PathBuf> = fetched.map(|dir| context.cache.path(dir)).collect();
    fetched.retain(|dir| dir.exists());
    if !fetched.is_empty() && !context.dry_run {
        let _lock = context.cache.lock("archive", &context.report)?;
        fetched.iter().try_for_each(fs_err::remove_dir_all)?;
    }
    Ok(fetched)
}
