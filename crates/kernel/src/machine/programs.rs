// SPDX-License-Identifier: GPL-2.0
//! The programs of other projects that the tool runs, and the Debian packages they are in.

use std::path::PathBuf;

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::context::Context;
use crate::machine::apt;
use crate::machine::user::is_root;
use report::failure::Failure;
use report::process::Cmd;

/// A program the tool may need, the Debian package that has it, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in `PATH`.
    pub name: &'static str,
    /// The Debian package that has it (Debian 12 and 13).
    pub package: &'static str,
    /// What the tool needs it for.
    pub purpose: &'static str,
}

/// One program.
pub const fn program(name: &'static str, package: &'static str, purpose: &'static str) -> Program {
    Program { name, package, purpose }
}

/// Where administrators' programs are, which are not in an ordinary user's `PATH` on Debian, and
/// daemons that other programs start.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/apt"];

/// The full path of `name`, searched in `PATH` and in the directories of administrators' programs.
pub fn find(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An empty entry would be the directory that this program happens to be in.
    let dirs = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    let dirs = std::env::join_paths(dirs.chain(SBIN.iter().map(PathBuf::from))).ok()?;
    let found = which::which_in_global(name, Some(dirs)).ok()?.next()?;
    Utf8PathBuf::from_path_buf(found).ok()
}

/// Makes sure that the programs in `wanted` are installed. Missing ones are listed and installed
/// with apt, after a question, unless `--yes` was given or root has no terminal.
pub fn ensure(context: &Context, wanted: &[&[Program]]) -> Result<()> {
    let missing: Vec<&Program> =
        wanted.iter().copied().flatten().filter(|p| find(p.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    for program in &missing {
        context
            .report
            .note("Missing", &format!("{} (package {}): {}", program.name, program.package, program.purpose));
    }
    let command = install_line(&packages);
    let names = missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
    let refusal = || Failure::missing(names.clone(), "not on this machine").remedy(command.clone());
    if find("apt-get").is_none() {
        return Err(Failure::missing(
            names,
            "not on this machine, and there is no apt-get to install them with",
        )
        .remedy(format!("install the packages that your distribution has for {}", packages.join(", ")))
        .into());
    }
    if context.dry_run {
        context.report.say(&format!("would run: {command}"));
        return Ok(());
    }
    if !context.agree(&format!("Install {} with apt", packages.join(", ")))? {
        return Err(refusal().into());
    }
    install(context, &packages)?;
    match missing.iter().find(|program| find(program.name).is_none()) {
        None => Ok(()),
        Some(_) => Err(refusal().into()),
    }
}

/// Makes sure that Debian packages without a program are installed, such as libraries to build
/// against.
pub fn ensure_packages(context: &Context, packages: &[&str]) -> Result<()> {
    let format = "${Package} ${db:Status-Status}\n";
    let output = Cmd::new("dpkg-query").args(["-W", "-f", format]).args(packages).finish(&context.report)?;
    let output = output.text();
    let installed = |name: &str| output.lines().any(|line| line == format!("{name} installed"));
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !context.agree(&format!("Install {} with apt", missing.join(", ")))? {
        let failure = Failure::missing(missing.join(", "), "not on this machine");
        return Err(failure.remedy(install_line(&missing)).into());
    }
    install(context, &missing)
}

/// The command that installs `packages`.
pub fn install_line(packages: &[&str]) -> String {
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    packages.dedup();
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install --no-install-recommends {}", packages.join(" "))
}

fn install(context: &Context, packages: &[&str]) -> Result<()> {
    let report = &context.report;
    // `apt-get update` does not wait for another one, whatever DPkg::Lock::Timeout says.
    let _lock = context.cache.lock("packages of this machine", report)?;
    let step = report.step("Installing", &packages.join(", "));
    apt_get(&["update"]).run(report)?;
    let install = apt_get(&["install", "--yes", "--no-install-recommends"]).args(packages);
    apt::run_counted(&install, &step, report)?;
    step.done("Installed", &packages.join(", "));
    Ok(())
}

/// apt-get as root: directly, or through sudo.
fn apt_get(args: &[&str]) -> Cmd {
    let words = [
        "env",
        "LC_ALL=C.UTF-8",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
    ];
    let cmd = if is_root() { Cmd::new(words[0]) } else { Cmd::new("sudo").arg(words[0]) };
    cmd.args(&words[1..]).args(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_administrators_are_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
