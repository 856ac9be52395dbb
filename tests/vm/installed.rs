// SPDX-License-Identifier: GPL-2.0
//! A system in which the tool itself installed the rebuilt client and the guard: what its modprobe
//! loads once it has booted, with them, where signatures are enforced, and after they were
//! uninstalled.

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use deploy::install::module::NamedModule;
use kernel::root::scratch::Scratch;
use kernel::root::{Access, Root};
use project::Project;
use project::build::build;
use report::process::Cmd;
use vm::system::SystemArchive;
use vm::{Run, Verdict};
use vm_protocol::Expect;
use xtask::client::SampleStep as Step;
use xtask::repository;

use crate::bench::{Bench, verdict_is};

/// The client, and the guard.
const MODULES: [&str; 2] = ["cifs", "cifs_fix"];

pub(crate) fn modprobe_loads_what_was_installed(bench: &Bench) -> Result<()> {
    let Root::Tree(root) = &bench.prepared.root else { return Ok(()) };
    let dir = tempfile::tempdir_in(bench.context.cache.path(""))?;
    let dir = Utf8Path::from_path(dir.path()).context("the cache's path is no UTF-8")?;
    let changes = dir.join("changes");
    let image = Scratch::over(root, &changes)?.with_layer(bench.prepared.kdir.image());
    let system = Installed { bench, tree: image, files: built(bench)? };
    system.inside(&Cmd::new("depmod").arg(bench.prepared.kdir.release().as_str()))?;

    let (client, guard) = (system.files[0].as_str(), system.files[1].as_str());
    let said = system.tool(&["install", client, guard])?;
    ensure!(said.contains("extra/cifs.ko") && said.contains("extra/cifs_fix.ko"), "{said}");
    let ours = system.srcversion(&system.files[0])?;
    let stock = system.srcversion(&bench.prepared.kdir.stock_module("cifs")?)?;
    ensure!(ours != stock, "the rebuilt client has the stock one's srcversion, {stock}");
    let run = system.boots("installed", &MODULES, &[])?;
    verdict_is(&run, Verdict::Pass)?;
    ensure!(run.output(1).map(str::trim) == Some(&ours), "{:?} is in memory, not {ours}", run.output(1));

    let run = system.boots("installed_unsigned", &MODULES, &["module.sig_enforce=1"])?;
    verdict_is(&run, Verdict::ModuleRefused)?;
    ensure!(
        run.judgement.reason.contains("Loading of unsigned module is rejected"),
        "{}",
        run.judgement.reason
    );

    system.tool(&["uninstall", "cifs", "cifs-fix"])?;
    let run = system.boots("uninstalled", &MODULES[..1], &["module.sig_enforce=1"])?;
    verdict_is(&run, Verdict::Pass)?;
    ensure!(run.output(1).map(str::trim) == Some(&stock), "{:?} is in memory, not {stock}", run.output(1));
    let left = system.inside(&Cmd::new("find").args([
        "/etc/depmod.d",
        "/lib/modules/",
        "-name",
        "*cifs[_-]fix*",
    ]))?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

/// The modules as they ship.
fn built(bench: &Bench) -> Result<Vec<Utf8PathBuf>> {
    let built = |(name, dir): (&str, Utf8PathBuf)| -> Result<Utf8PathBuf> {
        let built = build(&bench.context, &Project::open(&dir)?, &bench.prepared)?;
        Ok(built.object(name).with_context(|| format!("the build made no {name}"))?.file.clone())
    };
    MODULES.into_iter().zip([repository().join("cifs"), repository()]).map(built).collect()
}

/// A system, and the modules that are installed in it.
struct Installed<'a> {
    bench: &'a Bench,
    tree: Scratch,
    files: Vec<Utf8PathBuf>,
}

impl Installed<'_> {
    /// Runs a command in the system; it sees the tool and the modules besides.
    fn inside(&self, cmd: &Cmd) -> Result<String> {
        let access =
            self.files.iter().fold(Access::default().read(&self.bench.context.program), |access, file| {
                access.read(file.parent().expect("a module is in a directory"))
            });
        self.tree.inside(&self.bench.context, cmd.clone(), &access).read(&self.bench.context.report)
    }

    fn tool(&self, args: &[&str]) -> Result<String> {
        self.inside(&Cmd::new(&self.bench.context.program).args(args).env("XDG_CACHE_HOME", "/tmp"))
    }

    fn srcversion(&self, file: &Utf8Path) -> Result<String> {
        NamedModule::read(file)?.identity().srcversion.with_context(|| format!("{file} has no srcversion"))
    }

    /// Boots the system, and loads `names` as it does: the first, what is then in memory of it, the
    /// others.
    fn boots(&self, log: &str, names: &[&str], append: &[&str]) -> Result<Run> {
        let bench = self.bench;
        let mut payload = bench.payload()?;
        payload.system(SystemArchive::of(&bench.context, &self.tree, bench.prepared.kdir.release(), names)?);
        payload.run("/sbin/modprobe", &["--verbose", names[0]], Expect::Success);
        payload.expect(Step::ReadFile { path: format!("/sys/module/{}/srcversion", names[0]) }, Expect::Any);
        for name in &names[1..] {
            payload.run("/sbin/modprobe", &["--verbose", name], Expect::Success);
        }
        for name in names.iter().rev() {
            payload.run("/sbin/modprobe", &["--remove", name], Expect::Success);
        }
        bench.run(log, &payload, |machine| {
            machine.memory = 512;
            machine.append = append.iter().map(|word| (*word).to_owned()).collect();
        })
    }
}
