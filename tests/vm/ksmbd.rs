// SPDX-License-Identifier: GPL-2.0
//! The other server that speaks to this client: ksmbd, the kernel's own, in the machine itself,
//! with its daemon as Debian packages it.

use anyhow::{Context as _, Result, ensure};
use guest::{ShareStep, Work};
use kernel::distribution::debian;
use kernel::root::Root;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use libtest_mimic::{Failed, Trial};
use report::process::Cmd;
use vm::Verdict;
use vm::system::{Further, SystemArchive};
use vm_protocol::{Errno, Expect};
use xtask::client::{SamplePayload as Payload, SampleStep as Step, mount};
use xtask::commands::test::LONG;
use xtask::share::Account;

use crate::bench::{Bench, verdict_is};
use crate::vehicle::{self, Vehicle};
use crate::workload::{MEMORY, MOUNT, Speech, nothing_is_rejected, told_bytes};

/// What a root must hold beside a minimal system.
const PACKAGES: [&str; 4] = ["cpio", "kmod", "ksmbd-tools", "libc-bin"];

/// The daemon: all of its programs are one, under several names.
const TOOLS: &str = "/usr/libexec/ksmbd.tools";
const MOUNTD: &str = "/usr/sbin/ksmbd.mountd";

/// Its configuration and the accounts that it knows.
const CONFIGURATION: &str = "/etc/ksmbd/ksmbd.conf";
const ACCOUNTS: &str = "/etc/ksmbd/ksmbdpwd.db";

/// The share, and the directory of the machine that it shares.
pub(crate) const SHARE: &str = "share";
pub(crate) const SHARED: &str = "/shared";

/// The port that it listens on.
pub(crate) const PORT: u16 = 445;

/// How many files are listed, and MiB in the large file: they are in the machine's memory.
const LISTED: u32 = 2000;
const BULK: u32 = 4;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let long = std::env::var_os(LONG).is_some();
    let trial = |vehicle: Vehicle| {
        Trial::test(format!("workload::ksmbd_{vehicle}"), move || {
            let bench = bench.expect("trials are run with a bench");
            // Server and client are slow in one machine.
            let speeches = Speech::all().filter(|speech| long || speech.is_hardest()).collect();
            all_is_well(bench, vehicle, speeches).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let vehicles = [Vehicle::Guard].into_iter().chain(long.then_some(Vehicle::Rebuild));
    vehicles.map(trial).collect()
}

/// Does the work on a share of ksmbd, once for each way to speak.
fn all_is_well(bench: &Bench, vehicle: Vehicle, speeches: Vec<Speech>) -> Result<()> {
    let account = account();
    let mut payload = vehicle.payload(bench, &bench.prepared)?;
    serve(bench, &mut payload, &account)?;
    let mut works = Vec::new();
    for speech in speeches {
        let directory = speech.directory();
        let at = payload.plan("").steps.len();
        let shared = format!("{SHARED}/{directory}");
        let options = speech.options(&account);
        let frees = if speech.frees_parts() { Expect::Success } else { Expect::Failure(Errno::EOPNOTSUPP) };
        payload
            .step(ShareStep::LayOut { directory: shared.clone(), listed: LISTED })
            .step(mount("127.0.0.1", SHARE, &options, MOUNT))
            .step(ShareStep::Work(Work {
                directory: format!("{MOUNT}/{directory}"),
                listed: LISTED,
                bulk: BULK,
            }))
            .expect(ShareStep::AskRanges { path: format!("{MOUNT}/{directory}/ranges") }, frees)
            .step(Step::Unmount { target: MOUNT.to_owned() })
            .step(ShareStep::Digest {
                path: format!("{shared}/{}/{}", guest::WORK_DIRECTORY, guest::BULK_FILE),
            });
        works.push((speech, at + 2));
    }
    let counters = vehicle.read_counters(&mut payload);
    vehicle.unload(&mut payload);
    let run = vehicle::boot(bench, &bench.prepared, &payload, &format!("ksmbd-{vehicle}"), 2 * MEMORY)?;
    verdict_is(&run, Verdict::Pass)?;
    vehicle.require_loaded(&run)?;
    for (speech, work) in works {
        let told = run.output(work).context("the work told nothing")?;
        eprintln!("ksmbd, {vehicle}, {}: {}", speech.directory(), told.trim_end().replace('\n', "; "));
        let (found, expected) = (run.output(work + 1), speech.frees_parts().then(all_ranges));
        ensure!(found == expected.as_deref(), "{found:?}");
        let digest = run.output(work + 3).context("no digest")?;
        ensure!(told_bytes(told, digest), "the server has {digest}; the client says {told}");
    }
    nothing_is_rejected(&run, counters)
}

/// The right answers to [`ShareStep::AskRanges`]: a server that has more ranges than the client has
/// room for gives what there is room for, in a reply that says that it is cut short.
fn all_ranges() -> String {
    let answer = |(from, data, hole): (u64, u64, u64)| {
        let [from, data, hole] = [from, data, hole].map(|range| range * guest::RANGE);
        format!("data from {from}: {data}\nhole from {from}: {hole}\n")
    };
    let last = 2 * (guest::RANGES - 1);
    [(0, 0, 1), (1, 2, 1), (last - 2, last - 2, last - 1), (last, last, last + 1)].map(answer).concat()
}

/// Who may log in.
pub(crate) fn account() -> Account {
    Account { name: "somebody".to_owned(), password: "a-password-of-no-worth".to_owned() }
}

/// Adds the steps that start the server.
pub(crate) fn serve(bench: &Bench, payload: &mut Payload, account: &Account) -> Result<()> {
    let Root::Tree(root) = &bench.prepared.root else {
        anyhow::bail!("no root of Debian's to take ksmbd-tools from")
    };
    let (context, release) = (&bench.context, bench.prepared.kdir.release());
    let packages = PACKAGES.map(str::to_owned).into();
    let root = TreeRoot::provide(context, &debian::recipe(root.name(), packages))?;
    let dir = tempfile::tempdir_in(context.cache.path(""))?;
    let dir = camino::Utf8Path::from_path(dir.path()).context("the cache's path is no UTF-8")?;
    let tree = Scratch::over(&root, &dir.join("changes"))?.with_layer(bench.prepared.kdir.image());
    tree.read(context, Cmd::new("depmod").arg(release.as_str()))?;
    tree.read(context, Cmd::new("tee").arg(CONFIGURATION).input(configuration()))?;
    let adduser = Cmd::new("/usr/sbin/ksmbd.adduser").args(["--add", "--password", &account.password]);
    tree.read(context, adduser.arg(&account.name))?;
    let further = Further { programs: &[TOOLS], files: &[MOUNTD, CONFIGURATION, ACCOUNTS, "/run", "/tmp"] };
    payload.system(SystemArchive::with(context, &tree, release, &["ksmbd"], &further)?);
    payload.run("/sbin/modprobe", &["ksmbd"], Expect::Success);
    payload.step(ShareStep::LayOut { directory: SHARED.to_owned(), listed: 0 });
    payload.run(MOUNTD, &[], Expect::Success);
    // It answers once the kernel has its configuration, a moment after the daemon is there.
    payload.step(Step::Settle { millis: 2000 });
    Ok(())
}

/// ksmbd.conf(5).
fn configuration() -> String {
    format!(
        "[global]\n    server min protocol = SMB2_10\n    smb3 encryption = auto\n    tcp port = {PORT}\n\n\
         [{SHARE}]\n    path = {SHARED}\n    read only = no\n    vfs objects = acl_xattr, streams_xattr\n"
    )
}
