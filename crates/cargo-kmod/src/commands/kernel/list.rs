// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod kernel list`.

use anyhow::Result;
use serde::Serialize;

use kernel::context::Context;
use kernel::discover::KernelFacts;
use kernel::distribution::{Age, Archive, ArchiveKernel, known};
use kernel::kdir::Kdir;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::table;

/// A row of the list.
#[derive(Serialize)]
struct Row {
    release: Release,
    architecture: Architecture,
    suite: String,
    version: String,
    prepared: bool,
    default: bool,
    /// Whether the distribution signed its image, so that a machine with Secure Boot boots it.
    image_signed: bool,
    #[serde(flatten)]
    facts: KernelFacts,
}

/// Runs it.
pub(super) fn list(context: &Context, architecture: Architecture) -> Result<()> {
    let distribution = known::usual();
    let archive = distribution.archive_for(context, Age::Current, architecture)?;
    let kernels = archive.kernels();
    archive.fetch_configs(&kernels)?;
    let mut rows =
        kernels.iter().map(|kernel| row(context, &*archive, kernel)).collect::<Result<Vec<_>>>()?;
    // Of another architecture none is used without being named.
    let native = Architecture::native() == Some(architecture);
    let flavour = distribution.default_flavour(architecture);
    let is_default = |row: &Row| native && row.facts.rust && row.release.flavour() == flavour;
    if let Some(row) = rows.iter_mut().find(|row| is_default(row)) {
        row.default = true;
    }
    context.report.data(&rows);
    context.report.say(&shown(&rows));
    Ok(())
}

fn row(context: &Context, archive: &dyn Archive, kernel: &ArchiveKernel) -> Result<Row> {
    Ok(Row {
        prepared: Kdir::open(&context.cache, &kernel.release).is_some(),
        default: false,
        image_signed: archive.image_is_signed(&kernel.release),
        release: kernel.release.clone(),
        architecture: archive.architecture(),
        suite: kernel.suite().to_owned(),
        version: kernel.version().to_owned(),
        facts: KernelFacts::of(&archive.config(kernel)?),
    })
}

fn shown(rows: &[Row]) -> String {
    let head = ["", "RELEASE", "SUITE", "RUST", "COMPILER", "MODVERSIONS", "SIGNED", "PREPARED"];
    let head = head.map(str::to_owned).to_vec();
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    let cells = |row: &Row| {
        vec![
            if row.default { "*" } else { "" }.to_owned(),
            row.release.to_string(),
            row.suite.clone(),
            row.facts
                .rustc
                .as_ref()
                .map_or_else(|| yes(row.facts.rust), |version| format!("rustc {version}")),
            row.facts.compiler.rsplit("gnu-").next().unwrap_or_default().to_owned(),
            yes(row.facts.modversions),
            yes(row.image_signed),
            yes(row.prepared),
        ]
    };
    let table = table(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>());
    let default =
        if rows.iter().any(|row| row.default) { "* is used where no --kernel is given. " } else { "" };
    format!(
        "{table}\n\n{default}SIGNED: the distribution signed its image, and a machine with Secure Boot boots it."
    )
}
