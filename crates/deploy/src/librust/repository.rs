// SPDX-License-Identifier: GPL-2.0
//! A small repository that apt installs packages of artefacts from: one directory, with the indexes
//! of apt-ftparchive(1).

use anyhow::Result;
use camino::Utf8Path;

use crate::librust::words;
use kernel::machine::programs::{Program, program};
use report::Report;
use report::durable;
use report::process::Cmd;

/// What indexes a repository.
pub const PROGRAMS: &[Program] = &[program("apt-ftparchive", "apt-utils", "indexes a repository for apt")
    .in_rpms("apt", "/usr/bin/apt-ftparchive")];

/// Writes the indexes of the packages in `dir`. They are the same for the same packages and `date`.
///
/// # Errors
///
/// If apt-ftparchive fails.
pub fn index(dir: &Utf8Path, date: u64, report: &Report) -> Result<()> {
    let step = report.step("Indexing", dir.as_str());
    let list = |words: &[&str]| Cmd::new("apt-ftparchive").args(words).cwd(dir).run(report);
    durable::remove(&dir.join("Release"))?;
    let packages = list(&["packages", "."])?;
    durable::replace(&dir.join("Packages"), &packages.stdout)?;
    let label =
        ["-o", "APT::FTPArchive::Release::Label=linux-librust", "-o", "APT::FTPArchive::Release::Suite=./"];
    let release = list(&[&label[..], &["release", "."]].concat())?.text();
    let dated = release.lines().map(|line| match line.strip_prefix("Date: ") {
        Some(_) => Ok(format!("Date: {}\n", words::day(date)?.replace("+0000", "UTC"))),
        None => Ok(format!("{line}\n")),
    });
    durable::replace(&dir.join("Release"), dated.collect::<Result<String>>()?.as_bytes())?;
    step.done("Indexed", dir.as_str());
    Ok(())
}
