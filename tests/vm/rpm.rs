// SPDX-License-Identifier: GPL-2.0
//! A machine of a system on which the guard's RPM was installed: its own modprobe loads it from
//! where rpm put it.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use deploy::rpm::build::{PackageKind, PackagingOrder, Signing};
use deploy::rpm::ready::Ready;
use deploy::rpm::source;
use deploy::rpm::source_date;

use deploy::rpm::spec::KmodSpec;
use deploy::rpm::target::KmodTarget;
use kernel::root::scratch::Scratch;
use kernel::root::{Access, Root};
use project::Project;
use report::process::Cmd;
use vm::Verdict;
use vm::system::SystemArchive;
use vm_protocol::Expect;
use xtask::repository;

use crate::bench::{Bench, verdict_is};

/// Makes the package, installs it with rpm in a scratch over a root that has rpm, and boots that.
pub(crate) fn an_installed_package_is_loaded(bench: &Bench) -> Result<()> {
    let (context, release) = (&bench.context, bench.prepared.kdir.release());
    let project = Project::open(&repository())?;
    let ready = Ready::provide(context, &project, Some(KmodTarget::of(release)))?;
    let Root::Tree(root) = &ready.root else { return Ok(()) };
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let dir = Utf8Path::from_path(dir.path()).context("the cache's path is UTF-8")?;
    let date = source_date(&project.dir, &context.report)?;
    let sources = source::packages(
        context,
        &project,
        &KmodSpec::of(&project, &context.report)?,
        std::slice::from_ref(&ready),
        date,
    )?;
    let output = dir.join("packages");
    let order = PackagingOrder {
        project: &project,
        sources: &sources,
        srpm: false,
        akmod: None,
        output: &output,
        signing: Signing::default(),
    };
    let made = order.run(context)?;
    let package =
        made.packages.iter().find(|package| package.kind == PackageKind::Modules).context("no package")?;

    let tree = Scratch::over(root, &dir.join("changes"))?.with_layer(bench.prepared.kdir.image());
    tree.read(context, Cmd::new("depmod").arg(release.as_str()))?;
    // The kernel is no package here; that it is required is tested where one is.
    let install = Cmd::new("rpm").args(["--install", "--nodeps"]).arg(&package.file);
    tree.inside(context, install, &Access::default().read(&output)).run(&context.report)?;

    let mut payload = bench.payload()?;
    payload.system(SystemArchive::of(context, &tree, release, &["cifs", "cifs_fix"])?);
    payload.run("/sbin/modprobe", &["cifs"], Expect::Success);
    payload.run("/sbin/modprobe", &["--verbose", "cifs_fix"], Expect::Success);
    payload.run("/sbin/modprobe", &["--remove", "cifs_fix"], Expect::Success);
    let run = bench.run("an_installed_package", &payload, |machine| machine.memory = 512)?;
    verdict_is(&run, Verdict::Pass)?;
    let said = run.output(1).unwrap_or_default();
    ensure!(said.contains(&format!("insmod /lib/modules/{release}/extra/cifs-fix/cifs_fix.ko")), "{said}");
    tree.remove(context)
}
