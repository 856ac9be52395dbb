// SPDX-License-Identifier: GPL-2.0
//! virtme-ng: what one would boot a module with otherwise. It comes from Python's registry into the
//! cache, and boots the machine's own file system through virtiofs.

use std::time::Duration;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::bench::scratch::Scratch;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::machine::programs;
use kmodfile::architecture::Architecture;
use project::build::Object;
use report::Report;
use report::cache::remove_plain;
use report::failure::Failure;
use report::process::Cmd;
use vm::modules::ModuleTree;

/// How long one boot may take; on the slowest machine seen it took a fifth of this.
const LIMIT: Duration = Duration::from_secs(300);

/// What a guest of virtme-ng needs before it has a root file system, unless built in.
const EARLY: &[&str] = &["overlay", "virtio_console", "virtio_mmio", "virtio_pci", "virtiofs"];

/// virtme-ng, ready to run.
pub(super) struct VirtmeNg {
    bin: Utf8PathBuf,
    virtiofsd: Utf8PathBuf,
    version: String,
}

impl VirtmeNg {
    /// From the cache, or installed there now.
    pub(super) fn provide(context: &Context) -> Result<Self> {
        programs::ensure(
            context,
            &[vm::qemu::programs(Architecture::native().unwrap_or_default()), crate::bench::PROGRAMS],
        )?;
        let _lock = context.cache.lock("virtme-ng", &context.report)?;
        let virtiofsd = virtiofsd(context)?;
        let place = context.cache.path("virtme-ng");
        if !place.join("whole").exists() {
            install(context, &place)?;
        }
        let bin = place.join("bin");
        let version = Cmd::new(bin.join("vng")).arg("--version").read(&context.report)?;
        Ok(Self { bin, virtiofsd, version })
    }

    /// `vng`, which finds its other programs in `PATH`.
    fn command(&self) -> Cmd {
        let path = std::env::var("PATH").unwrap_or_default();
        let daemon = self.virtiofsd.parent().unwrap_or(Utf8Path::new("/"));
        // It starts QEMU and the daemon itself: its whole group ends when the limit is reached, or
        // this program ends.
        Cmd::new("timeout")
            .bound("TERM")
            .arg("--kill-after=5")
            .arg(LIMIT.as_secs().to_string())
            .arg(self.bin.join("vng"))
            .env("PATH", format!("{}:{daemon}:{path}:/usr/sbin:/sbin", self.bin))
    }
}

/// A virtual environment with virtme-ng. Its programs know where they are, so it cannot be made
/// elsewhere and renamed in: a file written last says that it is whole.
fn install(context: &Context, place: &Utf8Path) -> Result<()> {
    let step = context.report.step("Installing", "virtme-ng from the Python registry");
    if place.exists() {
        remove_plain(place)?;
    }
    Cmd::new("python3").args(["-m", "venv"]).arg(place).run(&context.report)?;
    let pip = Cmd::new(place.join("bin/pip")).args(["install", "--disable-pip-version-check"]);
    pip.args(["--only-binary", ":all:", "virtme-ng"]).run(&context.report)?;
    fs_err::write(place.join("whole"), "")?;
    step.done("Installed", "virtme-ng");
    Ok(())
}

/// The virtiofs daemon written in Rust: virtme-ng does not work with the C one in QEMU 7.2 (Debian
/// 12). Debian has it since 13 as a package of its own; elsewhere cargo builds it.
fn virtiofsd(context: &Context) -> Result<Utf8PathBuf> {
    if let Some(found) = programs::find("virtiofsd") {
        return Ok(found);
    }
    let policy = Cmd::new("apt-cache").args(["policy", "virtiofsd"]).env("LC_ALL", "C.UTF-8");
    if policy.read(&context.report)?.lines().any(is_candidate) {
        programs::ensure_packages(context, &["virtiofsd"])?;
        return programs::find("virtiofsd").ok_or_else(|| Failure::no_program("virtiofsd").into());
    }
    let place = context.cache.path("virtiofsd");
    let built = place.join("bin/virtiofsd");
    if !built.exists() {
        programs::ensure_packages(context, &["libcap-ng-dev", "libseccomp-dev"])?;
        let step = context.report.step("Building", "virtiofsd, which this distribution has no package of");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let install = Cmd::new(cargo).args(["install", "--locked", "--root"]).arg(&place).arg("virtiofsd");
        install.env("CARGO_TARGET_DIR", place.join("target")).run(&context.report)?;
        remove_plain(&place.join("target"))?;
        step.done("Built", "virtiofsd");
    }
    Ok(built)
}

/// The line of `apt-cache policy` that names a version that could be installed.
fn is_candidate(line: &str) -> bool {
    line.trim().strip_prefix("Candidate: ").is_some_and(|version| version != "(none)")
}

/// What virtme-ng boots, and the script it runs there.
pub(super) struct Guest {
    _scratch: Scratch,
    cmd: Cmd,
    shown: String,
    witness: String,
}

impl Guest {
    /// Lays out kernel, modules and script. The modules are unpacked: the ones that virtme-ng puts
    /// into its initramfs are loaded by busybox, which cannot read them otherwise.
    pub(super) fn new(
        context: &Context,
        virtme_ng: VirtmeNg,
        kdir: &Kdir,
        loads: &[String],
        object: &Object,
        emulated: bool,
    ) -> Result<Self> {
        let scratch = Scratch::new(context, "insmod")?;
        let base = scratch.path();
        let modules = base.join("lib/modules").join(kdir.release());
        lay_out(kdir, loads, &modules)?;
        let file = base.join("run.sh");
        fs_err::write(&file, script(loads, object))?;
        let cmd = virtme_ng.command().args(emulated.then_some("--disable-kvm"));
        let cmd = cmd.args(["--user", "root", "--run"]).arg(modules.join("vmlinuz"));
        let cmd = cmd.arg("--").arg(format!("sh {file}")).cwd(base);
        let how = if emulated { " --disable-kvm" } else { "" };
        let shown = format!("{}{how}", virtme_ng.version);
        Ok(Self { _scratch: scratch, cmd, shown, witness: format!("{}: ", object.name) })
    }

    /// How it is called in tables.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Boots, loads, unloads. What the module said must have come out.
    pub(super) fn run(&self, report: &Report) -> Result<()> {
        let output = self.cmd.run(report)?;
        let said = output.text().contains(&self.witness) || output.tail.contains(&self.witness);
        ensure!(said, "virtme-ng reported success, but printed nothing that begins with {:?}", self.witness);
        Ok(())
    }
}

/// A `/lib/modules/RELEASE` with the modules that are needed and no others.
fn lay_out(kdir: &Kdir, loads: &[String], into: &Utf8Path) -> Result<()> {
    let tree = ModuleTree::open(kdir.stamp().architecture, &kdir.modules())?;
    fs_err::create_dir_all(into.join("kernel"))?;
    let names = EARLY.iter().copied().chain(loads.iter().map(String::as_str));
    let names: Vec<&str> = names.filter(|name| tree.contains(name)).collect();
    for module in tree.closure(&names)? {
        fs_err::write(into.join("kernel").join(module.file()), &module.image)?;
    }
    for file in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        if kdir.modules().join(file).exists() {
            fs_err::copy(kdir.modules().join(file), into.join(file))?;
        }
    }
    fs_err::copy(kdir.vmlinuz()?, into.join("vmlinuz"))?;
    Ok(())
}

/// What the tool's own init does too: the kernel's modules, the built one, out again, and the
/// kernel log.
fn script(loads: &[String], object: &Object) -> String {
    let load = loads.iter().map(|name| format!("modprobe {name}\n"));
    let unload = loads.iter().rev().map(|name| format!("rmmod {name}\n"));
    let ours = format!("insmod {}\nrmmod {}\n", object.file, object.name.replace('-', "_"));
    let middle = std::iter::once(ours);
    let steps: String = load.chain(middle).chain(unload).collect();
    format!("set -e\n{steps}dmesg\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_apt_are_read() {
        assert!(is_candidate("  Candidate: 1.13.2-1"));
        assert!(!is_candidate("  Candidate: (none)") && !is_candidate("  Installed: 1.13.2-1"));
    }

    #[test]
    fn the_guest_does_what_the_tool_does() {
        let object = Object {
            name: "a-b".to_owned(),
            file: "/t/a-b.ko".into(),
            debug: None,
            packed: None,
            size: 0,
            unstripped: "/t/stage/a-b.ko".into(),
            unstripped_size: 0,
        };
        assert_eq!(
            script(&["x".to_owned(), "y".to_owned()], &object),
            "set -e\nmodprobe x\nmodprobe y\ninsmod /t/a-b.ko\nrmmod a_b\nrmmod y\nrmmod x\ndmesg\n"
        );
    }
}
