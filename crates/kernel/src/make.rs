// SPDX-License-Identifier: GPL-2.0
//! The make steps that prepare a kernel tree, and the paths that make can handle.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::toolchain::Toolchain;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::cache::Cache;
use report::failure::Failure;
use report::process::Cmd;
use report::{ProgressUnit, Report, Step};

/// The first make step's targets.
pub const CONFIGURE: &[&str] = &["olddefconfig"];

/// The second make step's targets.
pub const PREPARE: &[&str] = &["prepare", "modules_prepare", "rust/"];

/// The same for a kernel without Rust.
pub const PREPARE_WITHOUT_RUST: &[&str] = &["prepare", "modules_prepare"];

/// One make step of preparing a kernel, to be run in its build root.
pub fn make_step(
    release: &Release,
    config: &Config,
    source: &Utf8Path,
    build: &Utf8Path,
    targets: &[&str],
    jobs: usize,
) -> Cmd {
    output_step(config, source, build, targets, jobs).arg(format!("KERNELRELEASE={release}"))
}

/// A make step in the output directory `build` of a kernel that says itself what it is called.
pub(crate) fn output_step(
    config: &Config,
    source: &Utf8Path,
    build: &Utf8Path,
    targets: &[&str],
    jobs: usize,
) -> Cmd {
    Cmd::new("make")
        .arg("-C")
        .arg(source)
        .arg(format!("O={build}"))
        .args(Toolchain::of(config).make_words())
        .arg("LOCALVERSION=")
        .arg(format!("-j{jobs}"))
        .args(targets)
        // Nothing of this machine or hour goes into the artefacts.
        .env("KBUILD_BUILD_TIMESTAMP", "@0")
        .env("KBUILD_BUILD_USER", "kmod")
        .env("KBUILD_BUILD_HOST", "kmod")
}

/// Runs a make, whose output is kept in `log`, and counts on `step` what it makes; what an earlier
/// run left there gives an estimate of the total. `place` is what the command runs through: a build
/// root.
pub fn run_counted(
    cmd: Cmd,
    log: &Utf8Path,
    place: impl FnOnce(Cmd) -> Cmd,
    step: &Step<'_>,
    report: &Report,
) -> Result<()> {
    run_expecting(0, cmd, log, place, step, report)
}

/// The same, where `expected` is a guess at how many files it makes if no earlier run tells.
pub(crate) fn run_expecting(
    expected: u64,
    cmd: Cmd,
    log: &Utf8Path,
    place: impl FnOnce(Cmd) -> Cmd,
    step: &Step<'_>,
    report: &Report,
) -> Result<()> {
    let before = fs_err::read(log).unwrap_or_default();
    let before = String::from_utf8_lossy(&before);
    let total = before.lines().filter(|line| makes_something(line)).count() as u64;
    step.count(ProgressUnit::Things("object", "objects"), if total > 0 { total } else { expected });
    let cmd = place(cmd.log(log));
    let mut made = 0;
    let output = cmd.finish_with(report, |line| {
        made += u64::from(makes_something(line));
        step.reach(made);
        report.output_line(line);
    })?;
    if output.status.success() { Ok(()) } else { Err(cmd.failure(&output)) }
}

/// Where the log of a make for a kernel is kept. Logs survive a tree that failed and was removed.
pub(crate) fn log_file(cache: &Cache, release: &Release, name: &str) -> Result<Utf8PathBuf> {
    log_named(cache, &format!("{release}-{name}"))
}

/// Where a log of this name is kept.
pub(crate) fn log_named(cache: &Cache, name: &str) -> Result<Utf8PathBuf> {
    let dir = cache.path("logs");
    fs_err::create_dir_all(&dir)?;
    Ok(dir.join(name))
}

/// Whether a line of Kbuild's output announces a file: two blanks, then the tool in capitals.
fn makes_something(line: &str) -> bool {
    let tool = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap_or_default();
    !tool.is_empty()
        && tool.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-[]".contains(c))
}

/// Refuses a directory that make and Kbuild cannot handle: blanks separate words, colons separate
/// rules, and recipes are shell commands. Kbuild itself refuses blanks and colons, but late, and
/// without a remedy.
pub fn require_path(path: &Utf8Path, remedy: &str) -> Result<(), Failure> {
    let refused = |c: &char| c.is_whitespace() || c.is_control() || ":;#$%\\\"'`&|<>()*?[]{}~!".contains(*c);
    let Some(found) = path.as_str().chars().find(refused) else { return Ok(()) };
    let shown = match found {
        ' ' => "a space".to_owned(),
        '\n' => "a newline".to_owned(),
        other => format!("`{}`", other.escape_debug()),
    };
    Err(Failure::refused(path.as_str(), format!("make cannot handle a path with {shown} in it"))
        .remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kbuild_makes_is_counted() {
        for (line, counts) in [
            ("  CC      scripts/mod/empty.o", true),
            ("  RUSTC L rust/core.o", true),
            ("  HOSTCC  scripts/basic/fixdep", true),
            ("  DESCEND objtool", true),
            ("make[1]: Entering directory '/x'", false),
            ("warning: x", false),
            ("    indented text", false),
            ("", false),
        ] {
            assert_eq!(makes_something(line), counts, "{line}");
        }
    }

    #[test]
    fn what_make_would_take_apart_is_refused_by_name() {
        require_path(Utf8Path::new("/home/a-b_c.d+e,f@g=h/ü"), "move it").unwrap();
        for (path, named) in [("/a b", "a space"), ("/a:b", "`:`"), ("/a\nb", "a newline"), ("/$a", "`$`")] {
            let failure = require_path(Utf8Path::new(path), "move it").unwrap_err();
            assert!(failure.reason.contains(named), "{failure}");
            assert_eq!((failure.object.as_str(), failure.remedy.as_deref()), (path, Some("move it")));
        }
    }
}
