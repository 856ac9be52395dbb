// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel gc`.

use anyhow::Result;
use clap::Args;

use deploy::rpm;
use kernel::collection::{self, Freed};
use kernel::context::Context;
use kernel::kdir::Kdir;
use report::{size, table};

/// `cargo kmod kernel gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Remove prepared kernels, too, but the N that were used last; what is in use stays
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
}

/// Prepared kernels beyond those to be kept; then the sources and build roots that no kernel that
/// is left names, half-made things, and fetched packages.
pub(super) fn gc(context: &Context, args: &GcArgs) -> Result<()> {
    let mut freed = args.keep.map_or_else(|| Ok(Vec::new()), |keep| collection::kernels(context, keep))?;
    freed.extend(collection::sources(context, &freed)?);
    let used = roots_in_use(context, &freed)?;
    freed.extend(collection::roots(context, &used)?);
    freed.extend(collection::packages(context)?);
    context.report.data(&freed);
    context.report.say(&shown(&freed, context.dry_run));
    Ok(())
}

/// Identities of the build roots of kernels that are left.
fn roots_in_use(context: &Context, gone: &[Freed]) -> Result<Vec<String>> {
    let kdirs = Kdir::all(&context.cache, &context.report).into_iter();
    let left = kdirs.filter(|kdir| gone.iter().all(|freed| freed.path != kdir.place()));
    let identities =
        left.map(|kdir| Ok([kdir.stamp().recipe.identity(), rpm::ready::recipe(&kdir)?.identity()]));
    Ok(identities.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn shown(freed: &[Freed], dry_run: bool) -> String {
    let (each, all) = if dry_run { ("would remove", "would free") } else { ("removed", "freed") };
    if freed.is_empty() {
        return format!("nothing to remove: {all} nothing");
    }
    let row = |freed: &Freed| vec![format!("{each} {}", freed.path), size(freed.bytes)];
    let total = freed.iter().map(|freed| freed.bytes).sum();
    format!("{}\n{all} {}", table(&freed.iter().map(row).collect::<Vec<_>>()), size(total))
}
