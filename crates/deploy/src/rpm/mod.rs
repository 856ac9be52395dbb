// SPDX-License-Identifier: GPL-2.0
//! kmod RPMs: a project's `kmod.spec`, its source as one reproducible file, and rpmbuild(8) in the
//! kernel's build root.

pub mod archive;
pub mod audit;
pub mod build;
mod generated;
pub mod kabi;
mod macros;
mod packing;
pub mod payload;
pub mod provenance;
pub mod ready;
pub mod sbom;
pub mod sign;
pub mod source;
pub mod spec;
pub mod target;
pub mod tracked;
pub mod weak_updates;

use anyhow::Result;
use camino::Utf8Path;

use report::Report;
use report::process::Cmd;

/// The time of a project without history: 2000-01-01. Every archive format can represent it, and
/// rpm takes it in a changelog, where years before 1997 count as mistakes.
const OLDEST: u64 = 946_684_800;

/// The time of the files in a source package, in seconds since 1970: `SOURCE_DATE_EPOCH`
/// (<https://reproducible-builds.org/specs/source-date-epoch/>), otherwise the time of the last
/// commit.
pub fn source_date(project: &Utf8Path, report: &Report) -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().map_err(|_| {
            report::failure::Failure::usage(
                format!("SOURCE_DATE_EPOCH={given:?}"),
                "is not a number of seconds since 1970",
            )
            .into()
        });
    }
    if tracked::repository_of(project).is_none() {
        return Ok(OLDEST);
    }
    let log = Cmd::new("git").args(["-C", project.as_str(), "log", "-1", "--format=%ct"]);
    let output = log.finish(report)?;
    // A repository without commits.
    Ok(output.text().trim().parse().unwrap_or(OLDEST))
}
