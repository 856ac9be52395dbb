// SPDX-License-Identifier: GPL-2.0
//! DKMS, and what a machine loads afterwards: by hand with nothing but dkms, and by `cargo xtask
//! dkms-*`. The kernels and their headers are installed by dpkg, as anybody would, so the
//! distribution's own hooks run.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use kernel::discover;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::debian::index;
use kernel::distribution::package::{self, Package};
use kernel::distribution::{Age, Archive as _, ArchiveKernel, known};
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::source::edit;
use project::stage::Sources;
use vm::boot::{self, Options};
use vm::system::SystemArchive;
use vm::{Payload, Run, Verdict};
use vm_protocol::{Errno, Expect, GuestStep as Step};
use xtask::commands::test::LONG;
use xtask::repository;

use crate::bench::{Bench, verdict_is};
use crate::machine::Machine;
use crate::rebuild;

/// A module by the name of one of the kernel's own.
const REPLACEMENT: &str = "--project tests/dkms/replacement --kernel $KERNEL";

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, check: fn(&Bench) -> Result<()>| {
        Trial::test(format!("dkms::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let mut trials = vec![
        trial("the_guard_by_hand", guard_by_hand),
        trial("the_kernels_own_module_comes_back", own_module_comes_back),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.extend([
            trial("the_rebuilt_client_by_hand", client_by_hand),
            trial("the_guard_by_the_tool", guard_by_the_tool),
            trial("the_rebuilt_client_by_the_tool", client_by_the_tool),
            trial("a_new_kernel_gets_the_guard_when_it_is_installed", new_kernel),
        ]);
    }
    trials
}

/// What one machine loads.
struct Loaded {
    /// What modprobe printed.
    said: String,
    /// Why the kernel calls itself tainted by the module: `O` for one that is not its own.
    taint: String,
}

/// Boots the kernel and lets the system's own modprobe load `module`.
fn boot(bench: &Bench, machine: &Machine<'_>, kdir: &Kdir, module: &str, name: &str) -> Result<Loaded> {
    let mut payload = Payload::new(&boot::tree(kdir)?)?;
    payload.system(SystemArchive::of(&bench.context, &machine.tree, kdir.release(), &[module])?);
    payload.run("/sbin/modprobe", &["--verbose", module], Expect::Success);
    payload.expect(Step::ReadFile { path: format!("/sys/module/{module}/taint") }, Expect::Success);
    let run = run(bench, kdir, &payload, name)?;
    let output = |index| run.output(index).unwrap_or_default().to_owned();
    Ok(Loaded { said: output(0), taint: output(1) })
}

fn run(bench: &Bench, kdir: &Kdir, payload: &Payload, name: &str) -> Result<Run> {
    let options = Options { memory: 512, ..Options::default() };
    let log = bench.logs.join(format!("dkms-{name}.log"));
    let run = boot::boot(&bench.context, kdir, payload, &log, &options)?;
    verdict_is(&run, Verdict::Pass)?;
    Ok(run)
}

impl Loaded {
    fn require_ours(&self, module: &str) -> Result<()> {
        let file = format!("/updates/dkms/{module}.ko");
        ensure!(self.said.contains(&file) && self.taint.contains('O'), "{}: {:?}", self.said, self.taint);
        Ok(())
    }

    fn require_own(&self, module: &str) -> Result<()> {
        let own = !self.said.contains("/updates/") && self.said.contains(&format!("/{module}.ko"));
        ensure!(own && self.taint.trim().is_empty(), "{}: {:?}", self.said, self.taint);
        Ok(())
    }
}

/// The kernel's packages, image and headers, and those of its version that they need.
fn packages<'a>(archive: &'a DebianArchive<'_>, kernel: &'a ArchiveKernel) -> Result<Vec<&'a Package>> {
    let known = archive.packages();
    let version = &kernel.headers.version;
    let image = format!("linux-image-{}", kernel.release);
    let image = package::find(known, &image, version).with_context(|| format!("no {image} {version}"))?;
    let mut found = vec![&kernel.headers, image];
    let mut next = 0;
    while let Some(package) = found.get(next) {
        let needed = package.depends.iter().filter(|needed| needed.name.starts_with("linux-"));
        let needed: Vec<_> =
            needed.filter_map(|needed| package::find(known, &needed.name, version)).collect();
        for package in needed {
            if !found.iter().any(|other| other.name == package.name) {
                found.push(package);
            }
        }
        next += 1;
    }
    Ok(found)
}

/// Installs a kernel and its headers with dpkg, without a network; gives what it said.
fn install(bench: &Bench, machine: &Machine<'_>, release: &Release) -> Result<String> {
    let mut archive = DebianArchive::open(&bench.context, Age::Current)?;
    let kernel = discover::find(&mut archive, release)?;
    // The image wants that of its own suite, or a newer one, before it is unpacked.
    let same = |package: &&Package| package.name == "linux-base" && package.suite == kernel.headers.suite;
    let base: Vec<&Package> = archive.packages().iter().filter(same).collect();
    let mut said = String::new();
    for packages in [base, packages(&archive, &kernel)?].iter().filter(|packages| !packages.is_empty()) {
        let files = archive.fetch(packages)?;
        let words = files.iter().map(|file| format!(" {file}")).collect::<String>();
        said +=
            &machine.ok(&format!("DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io --install{words}"));
    }
    Ok(said)
}

/// A system with this kernel and its headers.
fn installed<'a>(bench: &'a Bench, kdir: &Kdir) -> Result<Machine<'a>> {
    let machine = Machine::over(&bench.context, kdir, |tree| tree);
    install(bench, &machine, kdir.release())?;
    Ok(machine)
}

/// The source of the guard, as a packager has it.
fn guard_source(machine: &Machine<'_>) -> Result<camino::Utf8PathBuf> {
    let dir = machine.shared().join("cifs-fix");
    Sources::read(&Project::open(&repository())?)?.write(&dir)?;
    Ok(dir)
}

/// How DKMS is used, command for command; `booted` looks at the machine once installed, and once
/// uninstalled.
fn by_hand(
    machine: &Machine<'_>,
    name: &str,
    source: &Utf8Path,
    mut booted: impl FnMut(&Machine<'_>, bool) -> Result<()>,
) -> Result<()> {
    let before = machine.modules();
    let words = format!("-m {name} -v 0.1.0");
    machine.ok(&format!("cp -r {source} /usr/src/{name}-0.1.0"));
    machine.ok(&format!("dkms add {words}"));
    machine.ok(&format!("dkms build {words} -k $KERNEL"));
    machine.ok(&format!("dkms install {words} -k $KERNEL"));
    let status = machine.ok(&format!("dkms status {words}"));
    ensure!(status.contains(&format!("{}, x86_64: installed", machine.release)), "{status}");
    booted(machine, true)?;
    machine.ok(&format!("dkms uninstall {words} -k $KERNEL"));
    booted(machine, false)?;
    machine.ok(&format!("dkms remove {words} --all"));
    ensure!(machine.ok("dkms status").is_empty(), "something is left");
    ensure!(machine.modules() == before, "the kernel's modules are not as they were");
    Ok(())
}

fn guard_by_hand(bench: &Bench) -> Result<()> {
    let kdir = &bench.prepared.kdir;
    let machine = installed(bench, kdir)?;
    by_hand(&machine, "cifs-fix", &guard_source(&machine)?, |machine, there| {
        if there {
            return boot(bench, machine, kdir, "cifs_fix", "guard-by-hand")?.require_ours("cifs_fix");
        }
        no_guard(bench, machine, kdir)
    })
}

/// A machine on which modprobe knows no guard, and the client is the kernel's own.
fn no_guard(bench: &Bench, machine: &Machine<'_>, kdir: &Kdir) -> Result<()> {
    let mut payload = Payload::new(&boot::tree(kdir)?)?;
    payload.system(SystemArchive::of(&bench.context, &machine.tree, kdir.release(), &["cifs"])?);
    payload.run("/sbin/modprobe", &["cifs_fix"], Expect::Failure(Errno::EIO));
    payload.run("/sbin/modprobe", &["cifs"], Expect::Success);
    run(bench, kdir, &payload, "no-guard").map(drop)
}

fn own_module_comes_back(bench: &Bench) -> Result<()> {
    let kdir = &bench.prepared.kdir;
    let machine = Machine::with_kernel(&bench.context, kdir);
    by_the_tool(bench, &machine, kdir, REPLACEMENT, "nls_utf8")
}

/// The same through the tool, for a module that takes the place of one of the kernel's own.
fn by_the_tool(bench: &Bench, machine: &Machine<'_>, kdir: &Kdir, words: &str, module: &str) -> Result<()> {
    let (before, own) = (machine.modules(), machine.resolved(module));
    machine.tool_ok(&format!("dkms-install {words}"));
    boot(bench, machine, kdir, module, &format!("{module}-ours"))?.require_ours(module)?;
    machine.tool_ok(&format!("dkms-uninstall {words}"));
    ensure!(machine.resolved(module) == own, "{} instead of {own}", machine.resolved(module));
    boot(bench, machine, kdir, module, &format!("{module}-own"))?.require_own(module)?;
    machine.tool_ok(&format!("dkms-remove {words}"));
    ensure!(machine.modules() == before, "the kernel's modules are not as they were");
    Ok(())
}

/// A kernel without Rust, whose client is mended in C.
fn kernel_without_rust(bench: &Bench) -> Result<Prepared> {
    let release = rebuild::without_rust(bench)?;
    prepare::provide_for(&bench.context, Some(&release), RootChoice::Auto, prepare::Rust::Optional)
}

fn client_by_hand(bench: &Bench) -> Result<()> {
    let prepared = kernel_without_rust(bench)?;
    let kdir = &prepared.kdir;
    let machine = installed(bench, kdir)?;
    let project = Project::open(&repository().join("cifs"))?;
    let source = edit::lay_out(&bench.context, &project, kdir.release())?;
    by_hand(&machine, "cifs", &source, |machine, there| {
        let loaded = boot(bench, machine, kdir, "cifs", "client-by-hand")?;
        if there { loaded.require_ours("cifs") } else { loaded.require_own("cifs") }
    })
}

fn client_by_the_tool(bench: &Bench) -> Result<()> {
    let prepared = kernel_without_rust(bench)?;
    let machine = installed(bench, &prepared.kdir)?;
    by_the_tool(bench, &machine, &prepared.kdir, "--project cifs --kernel $KERNEL", "cifs")
}

fn guard_by_the_tool(bench: &Bench) -> Result<()> {
    let kdir = &bench.prepared.kdir;
    let machine = installed(bench, kdir)?;
    machine.tool_ok("dkms-install --all-kernels");
    boot(bench, &machine, kdir, "cifs_fix", "guard-by-the-tool")?.require_ours("cifs_fix")?;
    machine.tool_ok("dkms-remove");
    no_guard(bench, &machine, kdir)
}

/// Two releases with Rust of one suite: the older is there, the newer is installed, and its hooks
/// build the guard.
fn new_kernel(bench: &Bench) -> Result<()> {
    let (old, new) = two_kernels(bench)?;
    let machine = installed(bench, &old.kdir)?;
    machine.tool_ok("dkms-install --kernel $KERNEL");
    let said = install(bench, &machine, new.kdir.release())?;
    ensure!(said.contains("cifs-fix/0.1.0"), "{said}");
    let status = machine.ok("dkms status");
    for kernel in [&old, &new] {
        let row = format!("{}, x86_64: installed", kernel.kdir.release());
        ensure!(status.contains(&row), "{status}\n{said}");
    }
    boot(bench, &machine, &new.kdir, "cifs_fix", "new-kernel")?.require_ours("cifs_fix")
}

/// The two newest releases of one suite with Rust that differ in more than the flavour; prepared
/// ones first.
fn two_kernels(bench: &Bench) -> Result<(Prepared, Prepared)> {
    let archive = DebianArchive::open(&bench.context, Age::Current)?;
    let backports = |kernel: &ArchiveKernel| {
        kernel.headers.suite.ends_with("-backports")
            && kernel.release.flavour() == known::usual().default_flavour(Architecture::Amd64)
            && archive.source(kernel).is_ok()
    };
    let mut kernels: Vec<ArchiveKernel> = archive.kernels().into_iter().filter(backports).collect();
    kernels.sort_by_key(|kernel| Kdir::open(&bench.context.cache, &kernel.release).is_none());
    kernels.truncate(2);
    kernels.sort_by(|a, b| index::by_version(&a.headers, &b.headers));
    let [old, new] = kernels.as_slice() else { anyhow::bail!("the archive has no two backports kernels") };
    let prepared =
        |kernel: &ArchiveKernel| prepare::provide(&bench.context, Some(&kernel.release), RootChoice::Auto);
    Ok((prepared(old)?, prepared(new)?))
}
