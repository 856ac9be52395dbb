// SPDX-License-Identifier: GPL-2.0
//! `install --reload` on a running system: the tool itself runs in the machine, with the stock
//! client in memory.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;

use deploy::install::module::NamedModule;
use kernel::root::scratch::Scratch;
use kernel::root::{Access, Root};
use project::Project;
use project::build::build;
use report::process::Cmd;
use vm::Verdict;
use vm::system::{Further, SystemArchive};
use vm_protocol::{Errno, Expect};
use xtask::client::SampleStep as Step;
use xtask::repository;

use crate::bench::{Bench, verdict_is};

/// Where the tool is in the machine, and the programs it runs there.
const TOOL: &str = "/usr/bin/xtask";
const PROGRAMS: [&str; 3] = [TOOL, "/usr/sbin/depmod", "/usr/bin/env"];

/// One that loads, then one that does not.
const MODULES: [&str; 2] = ["/opt/good/cifs.ko", "/opt/bad/cifs.ko"];

pub(crate) fn what_is_in_memory_is_replaced_or_put_back(bench: &Bench) -> Result<()> {
    let Root::Tree(root) = &bench.prepared.root else { return Ok(()) };
    let (context, release) = (&bench.context, bench.prepared.kdir.release());
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let dir = Utf8Path::from_path(dir.path()).context("the cache's path is no UTF-8")?;
    let tree = Scratch::over(root, &dir.join("changes"))?.with_layer(bench.prepared.kdir.image());
    tree.read(context, Cmd::new("depmod").arg(release.as_str()))?;
    let built = build(context, &Project::open(&repository().join("cifs"))?, &bench.prepared)?;
    let good = &built.object("cifs").context("the build made no cifs")?.file;
    let bad = &bench.faults.object("fault_init").context("no fault_init")?.file;
    for (file, place) in [good, bad].into_iter().zip(MODULES) {
        put(bench, &tree, file, Cmd::new("install").args(["-D", file.as_str(), place]))?;
    }
    let program = &context.program;
    put(bench, &tree, program, Cmd::new("strip").args(["-o", TOOL, program.as_str()]))?;

    let mut payload = bench.payload()?;
    let further = Further { programs: &PROGRAMS, files: &MODULES };
    payload.system(SystemArchive::with(context, &tree, release, &["cifs"], &further)?);
    payload.run("/sbin/modprobe", &["cifs"], Expect::Success);
    let shows = |payload: &mut xtask::client::SamplePayload| {
        payload.expect(Step::ReadFile { path: "/sys/module/cifs/srcversion".to_owned() }, Expect::Any);
    };
    let tool = |payload: &mut xtask::client::SamplePayload, args: &[&str], expect| {
        let env = ["XDG_CACHE_HOME=/cache", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", TOOL];
        payload.run("/usr/bin/env", &[&env, args].concat(), expect);
    };
    shows(&mut payload);
    tool(&mut payload, &["install", "--reload", MODULES[1]], Expect::Failure(Errno::EIO));
    shows(&mut payload);
    tool(&mut payload, &["status", "--json", "cifs"], Expect::Success);
    tool(&mut payload, &["install", "--reload", MODULES[0]], Expect::Success);
    shows(&mut payload);
    tool(&mut payload, &["status", "--json"], Expect::Success);
    let run = bench.run("reload", &payload, |machine| machine.memory = 1024)?;
    verdict_is(&run, Verdict::Pass)?;

    let said = |step: usize| run.output(step).unwrap_or_default().trim().to_owned();
    let srcversion =
        |file: &Utf8Path| NamedModule::read(file)?.identity().srcversion.context("no srcversion");
    let (stock, ours) = (srcversion(&bench.prepared.kdir.stock_module("cifs")?)?, srcversion(good)?);
    ensure!(stock != ours && said(1) == stock, "{} is in memory, and not the stock client", said(1));
    ensure!(said(3) == stock, "after a reload that failed {} is in memory, and not {stock}", said(3));
    ensure!(said(4).contains("\"ours\": false") && said(4).contains("\"memory\": \"same\""), "{}", said(4));
    ensure!(said(6) == ours, "after the reload {} is in memory, and not {ours}", said(6));
    ensure!(said(7).contains("\"ours\": true") && said(7).contains("\"memory\": \"same\""), "{}", said(7));
    Ok(())
}

/// Runs in the system what puts a file of the host into it.
fn put(bench: &Bench, tree: &Scratch, file: &Utf8Path, cmd: Cmd) -> Result<()> {
    let access = Access::default().read(file);
    tree.inside(&bench.context, cmd, &access).run(&bench.context.report).map(drop)
}
