// SPDX-License-Identifier: GPL-2.0
//! A machine that loads modules as an installed system would: with that system's own modprobe, out
//! of its `/lib/modules`.

use anyhow::{Result, ensure};
use kernel::root::Root;
use kernel::root::scratch::Scratch;
use report::process::Cmd;
use vm::Verdict;
use vm::system::SystemArchive;
use vm_protocol::{Errno, Expect};

use crate::bench::{Bench, verdict_is};
use xtask::client::SampleStep as Step;

/// The kernel's own cifs, of a tree in which nothing was installed; then a file of modprobe.d that
/// forbids it.
pub(crate) fn modprobe_of_a_tree(bench: &Bench) -> Result<()> {
    let Root::Tree(root) = &bench.prepared.root else { return Ok(()) };
    let (context, release) = (&bench.context, bench.prepared.kdir.release());
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let dir = camino::Utf8Path::from_path(dir.path()).expect("the cache's path is UTF-8");
    let tree = Scratch::over(root, &dir.join("changes"))?.with_layer(bench.prepared.kdir.image());
    tree.read(context, Cmd::new("depmod").arg(release.as_str()))?;
    let loads = |name: &str, expect| -> Result<_> {
        let mut payload = bench.payload()?;
        payload.system(SystemArchive::of(context, &tree, release, &["cifs"])?);
        payload.run("/sbin/modprobe", &["--verbose", "cifs"], expect);
        payload.expect(Step::ReadFile { path: "/sys/module/cifs/taint".to_owned() }, Expect::Any);
        bench.run(name, &payload, |machine| machine.memory = 512)
    };
    let run = loads("modprobe_of_a_tree", Expect::Success)?;
    verdict_is(&run, Verdict::Pass)?;
    let said = run.output(0).unwrap_or_default();
    ensure!(said.contains(&format!("insmod /lib/modules/{release}/kernel/fs/smb/client/cifs.ko")), "{said}");
    // The stock module taints nothing.
    ensure!(run.output(1) == Some("\n"), "{:?}", run.output(1));

    let forbid = Cmd::new("tee").arg("/etc/modprobe.d/no-cifs.conf").input("install cifs /bin/false\n");
    tree.read(context, forbid)?;
    verdict_is(&loads("modprobe_forbidden", Expect::Failure(Errno::EIO))?, Verdict::Pass)
}
