// SPDX-License-Identifier: GPL-2.0
//! The programs of other projects that the tool runs, and the Debian packages they are in.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::context::Context;
use crate::failure::Failure;
use crate::process::Cmd;
use crate::report::Report;

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

/// Needed to look at the archive and to make build roots.
pub const ROOTS: &[Program] = &[
    program("apt-get", "apt", "reads the archive"),
    program("apt-helper", "apt", "fetches packages"),
    program("dpkg-deb", "dpkg", "unpacks kernel packages"),
    program("mmdebstrap", "mmdebstrap", "makes build roots"),
    program("newuidmap", "uidmap", "build roots without being root"),
    program("setpriv", "util-linux", "ends what a stopped run started"),
    program("tar", "tar", "unpacks sources"),
    program("unshare", "util-linux", "enters build roots"),
    program("xz", "xz-utils", "unpacks kernel sources"),
];

/// Needed to boot a kernel.
pub const VM: &[Program] = &[program("qemu-system-x86_64", "qemu-system-x86", "boots kernels")];

/// Needed for the mount of a real share.
pub const SHARE: &[Program] = &[
    program("smbd", "samba", "the SMB server of the demo"),
    program("pdbedit", "samba", "a user of that server, for the tests"),
];

/// Needed to sign packages.
pub const RPM_SIGN: &[Program] = &[
    program("gpg", "gpg", "signs packages"),
    program("gpg-agent", "gpg-agent", "holds the keys of gpg"),
    program("rpmkeys", "rpm", "checks signatures of packages"),
    program("rpmsign", "rpm", "signs packages"),
];

/// Needed to install modules.
pub const INSTALL: &[Program] = &[
    program("depmod", "kmod", "lists modules and what they need"),
    program("modprobe", "kmod", "says which file it would load"),
];

/// Needed for what `bench` compares with, and for nothing else. virtme-ng itself comes from Python's registry.
pub const BENCH: &[Program] = &[
    program("busybox", "busybox-static", "the initramfs of virtme-ng"),
    program("python3", "python3-venv", "runs virtme-ng"),
    program("udevadm", "udev", "the guest of virtme-ng hands its output over through ports that udev names"),
];

/// Needed to run the fuzz targets, and for nothing else.
pub const FUZZ: &[Program] = &[program("c++", "g++", "compiles libFuzzer, for the fuzz targets")];

/// Needed by tests only: one that kills the tool at each of its system calls.
pub const TESTS: &[Program] = &[program("strace", "strace", "kills the tool at each file operation")];

/// Where administrators' programs are, which are not in an ordinary user's `PATH` on Debian, and daemons that other
/// programs start.
const SBIN: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/apt"];

/// All programs that commands for users need.
pub fn all() -> impl Iterator<Item = &'static Program> {
    [ROOTS, VM, SHARE, INSTALL, crate::key::PROGRAMS, RPM_SIGN].into_iter().flatten()
}

/// All programs that anything needs.
fn known() -> impl Iterator<Item = &'static Program> {
    all().chain([BENCH, FUZZ, TESTS, crate::dkms::PROGRAMS].into_iter().flatten())
}

/// The full path of `name`, searched in `PATH` and in the directories of administrators' programs.
pub fn find(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').filter(|dir| !dir.is_empty()).chain(SBIN.iter().copied());
    let executable = |file: &Utf8PathBuf| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    dirs.map(|dir| Utf8PathBuf::from(dir).join(name)).find(executable)
}

/// The failure for a program that is not there: names its package.
pub fn not_found(name: &str) -> Failure {
    let failure = Failure::missing(format!("`{name}`"), "no such program on this machine");
    match known().find(|program| program.name == name) {
        Some(program) => failure.remedy(format!("apt-get install {}", program.package)),
        None => failure,
    }
}

/// Makes sure that `wanted` are there; the missing are installed by apt after saying which, and,
/// unless `--yes` was given or root has no terminal, after one question.
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
        return Err(Failure::missing(names, "not on this machine, and there is no apt-get to install them")
            .remedy(format!("install what your distribution calls {}", packages.join(", ")))
            .into());
    }
    if context.dry_run {
        context.report.say(&format!("would run: {command}"));
        return Ok(());
    }
    if !context.agree(&format!("Install {} with apt", packages.join(", ")))? {
        return Err(refusal().into());
    }
    install(&packages, &context.report)?;
    match missing.iter().find(|program| find(program.name).is_none()) {
        None => Ok(()),
        Some(_) => Err(refusal().into()),
    }
}

/// Makes sure that Debian packages without a program are there, such as libraries to build against.
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
    install(&missing, &context.report)
}

/// The line a user would type to install `packages`.
pub fn install_line(packages: &[&str]) -> String {
    let mut packages = packages.to_vec();
    packages.sort_unstable();
    packages.dedup();
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install --no-install-recommends {}", packages.join(" "))
}

fn install(packages: &[&str], report: &Report) -> Result<()> {
    let step = report.step("Installing", &packages.join(", "));
    apt(&["update"]).run(report)?;
    apt(&["install", "--yes", "--no-install-recommends"]).args(packages).run(report)?;
    step.done("Installed", &packages.join(", "));
    Ok(())
}

/// apt-get as root: directly, or through sudo.
fn apt(args: &[&str]) -> Cmd {
    let words = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];
    let cmd = if is_root() { Cmd::new(words[0]) } else { Cmd::new("sudo").arg(words[0]) };
    cmd.args(&words[1..]).args(args)
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let failure = not_found("smbd");
        assert_eq!(failure.remedy.as_deref(), Some("apt-get install samba"));
    }

    #[test]
    fn programs_of_administrators_are_found() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }

    #[test]
    fn every_program_is_listed_once() {
        let mut names: Vec<_> = known().map(|program| program.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
