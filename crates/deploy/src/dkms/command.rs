// SPDX-License-Identifier: GPL-2.0
//! The programs that are run: dkms itself, and depmod(8), which it runs for the machine alone.

use anyhow::Result;

use crate::dkms::place::Place;
use crate::dkms::status::{self, Row};
use crate::dkms::{Dkms, Package};
use kernel::context::Context;
use kernel::machine::programs;
use kernel::root::host;
use kmodfile::release::Release;
use report::failure::{Exit, Failure};
use report::process::{Cmd, Output};

/// Lines of `make.log` that an error repeats.
const LOG_LINES: usize = 25;

impl Dkms<'_> {
    pub(super) fn dkms(&self, action: &str, package: &Package) -> Cmd {
        dkms(self.context, self.place, action).args(["-m", &package.name, "-v", &package.version])
    }

    /// Runs dkms as one step; with `--dry-run` only shows it.
    pub(super) fn run(&self, verb: &str, done: &str, what: &str, cmd: &Cmd, package: &Package) -> Result<()> {
        if self.context.dry_run {
            self.context.report.say(&format!("would run: {}", cmd.line()));
            return Ok(());
        }
        let step = self.context.report.step(verb, what);
        let output = cmd.finish(&self.context.report)?;
        if !output.status.success() {
            return Err(self.failure(cmd, &output, package));
        }
        step.done(done, what);
        Ok(())
    }

    /// Why dkms failed: the end of what the compiler said, where it got that far.
    fn failure(&self, cmd: &Cmd, output: &Output, package: &Package) -> anyhow::Error {
        let log = self.place.package(package).join("build/make.log");
        let Some(text) = fs_err::read_to_string(&log).ok().filter(|_| output.tail.contains("make.log"))
        else {
            return cmd.failure(output);
        };
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES)..].iter();
        let end: String = end.map(|line| format!("\n    | {line}")).collect();
        let reason = format!("{}; the end of {log}:{end}", complaint(&output.tail));
        Failure::new(Exit::Failed, package.to_string(), reason)
            .remedy("mend the project, then cargo kmod dkms-remove and the same command again")
            .into()
    }

    /// dkms runs depmod(8) for the machine alone, whatever `--installtree` says.
    pub(super) fn depmod_in_root(&self, release: &Release) -> Result<()> {
        if self.place.root().is_none() || self.context.dry_run {
            return Ok(());
        }
        depmod(self.context, self.place, release)
    }
}

/// The first line of what dkms complains about.
fn complaint(tail: &str) -> &str {
    let line = tail.lines().find_map(|line| line.strip_prefix("Error! "));
    line.unwrap_or("dkms could not build it")
}

/// What keeps dkms from preparing and cleaning a kernel's directory that it is told of. DKMS 2 runs `make mrproper` there, before and
/// after, which leaves neither symbols nor Rust artefacts; later ones do nothing of that, and have no such option in their help.
pub(super) fn sparing(context: &Context) -> Result<&'static [&'static str]> {
    if context.dry_run {
        return Ok(&[]);
    }
    let help = host::inside(Cmd::new("dkms").arg("--help")).finish(&context.report)?;
    Ok(if help.text().contains(SPARING[0]) { SPARING } else { &[] })
}

const SPARING: &[&str] = &["--no-prepare-kernel", "--no-clean-kernel"];

/// The rows of `dkms status`.
pub fn rows(context: &Context, place: &Place, package: Option<&Package>) -> Result<Vec<Row>> {
    let cmd = dkms(context, place, "status");
    let cmd = match package {
        Some(package) => cmd.args(["-m", &package.name, "-v", &package.version]),
        None => cmd,
    };
    if programs::find("dkms").is_none() && context.dry_run {
        return Ok(Vec::new());
    }
    let mut rows = status::parse(&cmd.finish(&context.report)?.text());
    rows.retain(|row| package.is_none_or(|package| row.package == *package));
    Ok(rows)
}

/// Writes modules.dep and the like for a kernel.
pub fn depmod(context: &Context, place: &Place, release: &Release) -> Result<()> {
    let cmd = Cmd::new("depmod");
    let cmd = match place.root() {
        Some(root) => cmd.arg("--basedir").arg(root),
        None => cmd,
    };
    host::inside(cmd.arg(release.as_str())).run(&context.report)?;
    Ok(())
}

/// dkms with the distribution's own compilers first, whatever toolchains the user has, and told where prepared kernels are.
fn dkms(context: &Context, place: &Place, action: &str) -> Cmd {
    let cmd = Cmd::new("dkms").arg(action).args(place.options());
    let changes_modules = matches!(action, "install" | "uninstall" | "remove");
    let cmd = if place.root().is_some() && changes_modules { cmd.arg("--no-depmod") } else { cmd };
    host::inside(cmd.env("PREPARED", context.cache.path("kernels")))
}
