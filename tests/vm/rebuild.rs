// SPDX-License-Identifier: GPL-2.0
//! The rebuilt client in the place of the stock one: it mounts a real share, and refuses what the
//! guard refuses.

use anyhow::{Context as _, Result, ensure};
use kernel::discover::KernelFacts;
use kernel::distribution::debian::archive::DebianArchive;
use kernel::distribution::{Age, Archive as _, known};
use kernel::kdir::Kdir;
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use project::source::series::Series;
use vm::boot::{self, Options};
use vm::modules::{GuestModule, ModuleTree};
use vm::{Run, Verdict};
use vm_protocol::{Errno, Event, Expect, StepOutcome};
use xtask::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step};
use xtask::commands::test::LONG;
use xtask::repository;
use xtask::share::{self as smb, Share};

use crate::bench::{Bench, verdict_is};
use crate::frames::{LeftOpen, Spoil};
use crate::proxy::Proxy;

/// The module that takes the stock one's place.
const MODULE: &str = "cifs";

/// Where the guest mounts the share.
const MOUNT: &str = "/mnt";

/// What every file in the share holds.
const CONTENT: &str = "as the server has it";

/// The client logs ten lines in five seconds: after so many rejections the guest waits for so long.
const LOGGED_AT_ONCE: usize = 8;
const LOG_WINDOW_MILLIS: u64 = 5200;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, check: fn(&Bench) -> Result<()>| {
        Trial::test(format!("rebuild::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let mut trials = vec![
        trial("a_real_share_is_mounted", a_real_share_is_mounted),
        trial("every_malformed_reply_is_rejected_by_its_rule", malformed_replies_are_rejected),
        trial("a_kernel_without_rust_is_mended_in_c", a_kernel_without_rust_is_mended),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.push(trial("every_prepared_kernel_is_mended", every_prepared_kernel_is_mended));
    }
    trials
}

/// A machine's payload up to the mount: the rebuilt client, after what it depends on, and no stock
/// one.
fn mounted(bench: &Bench, tree: &ModuleTree, client: Client, port: u16) -> Result<Payload> {
    let mut payload = bench.payload_of(tree)?;
    payload.network(tree)?;
    match client {
        Client::Stock => payload.insert_stock(tree, &[MODULE])?,
        Client::Rebuilt(module) => payload.insert_with(tree, module, "")?,
    };
    payload.cifs_companions(tree)?;
    payload.mount_share(smb::NAME, port, smb::OPTIONS, MOUNT);
    Ok(payload)
}

/// Which client is loaded.
enum Client {
    Stock,
    Rebuilt(GuestModule),
}

/// The rebuilt client for a kernel.
fn rebuilt(bench: &Bench, prepared: &Prepared) -> Result<Client> {
    let built = build(&bench.context, &project()?, prepared)?;
    Ok(Client::Rebuilt(GuestModule::read(&built.object(MODULE).context("the build made no client")?.file)?))
}

fn project() -> Result<Project> {
    Project::open(&repository().join("cifs"))
}

/// The kernel says of a module that is not its own that it is loaded.
fn require_ours(run: &Run) -> Result<()> {
    let said = boot::said_by(run, MODULE);
    ensure!(said.iter().any(|line| line.contains("out-of-tree")), "the stock client is loaded: {said:?}");
    Ok(())
}

fn a_real_share_is_mounted(bench: &Bench) -> Result<()> {
    let server = Share::serve(&bench.context.report)?;
    fs_err::write(server.files().join("from-host"), CONTENT)?;
    let mut payload = mounted(bench, &bench.tree, rebuilt(bench, &bench.prepared)?, server.port())?;
    let read = payload.plan("").steps.len();
    payload
        .step(Step::ReadFile { path: format!("{MOUNT}/from-host") })
        .step(Step::WriteFile { path: format!("{MOUNT}/from-guest"), content: "hello host".to_owned() })
        .step(Step::ListDirectory { path: MOUNT.to_owned() })
        .step(Step::Unmount { target: MOUNT.to_owned() })
        .remove(MODULE);
    let run = bench.run("rebuild-share", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    require_ours(&run)?;
    ensure!(run.output(read) == Some(CONTENT), "{:?}", run.output(read));
    ensure!(fs_err::read_to_string(server.files().join("from-guest"))? == "hello host");
    Ok(())
}

/// Files whose replies are all spoilt, one way each: the steps that read them, once spoilt and once
/// as they are.
struct Spoilt {
    payload: Payload,
    visits: Vec<(Spoil, usize)>,
    proxy: Proxy,
    left_open: LeftOpen,
    _server: Share,
}

impl Spoilt {
    fn with(bench: &Bench, tree: &ModuleTree, client: Client, expect: &Expect) -> Result<Self> {
        let server = Share::serve(&bench.context.report)?;
        for spoil in Spoil::all() {
            fs_err::write(server.files().join(spoil.file()), CONTENT)?;
        }
        let (proxy, left_open) = Proxy::before(server.port())?;
        let mut payload = mounted(bench, tree, client, proxy.port())?;
        let mut visits = Vec::new();
        for spoil in Spoil::all() {
            let read = Step::ReadFile { path: format!("{MOUNT}/{}", spoil.file()) };
            visits.push((spoil, payload.plan("").steps.len()));
            payload.expect(read.clone(), *expect).expect(read, expect_served(expect));
            if visits.len() % LOGGED_AT_ONCE == 0 {
                payload.step(Step::Settle { millis: LOG_WINDOW_MILLIS });
            }
        }
        payload.step(Step::Unmount { target: MOUNT.to_owned() }).remove(MODULE);
        Ok(Self { payload, visits, proxy, left_open, _server: server })
    }

    /// The handles that spoilt replies gave and that the client did not close, by file.
    fn left_open(&self) -> Vec<String> {
        let left_open = self.left_open.lock().expect("no holder panics");
        left_open.values().map(|spoil| spoil.file()).collect()
    }

    /// Every spoilt reply was refused, what it had opened is closed, and the next one of the same
    /// file, as the server sent it, was not refused.
    fn require_refused(&self, run: &Run) -> Result<()> {
        verdict_is(run, Verdict::Pass)?;
        ensure!(self.proxy.connections() == 1, "the client connected {} times", self.proxy.connections());
        ensure!(self.proxy.spoilt().len() == self.visits.len(), "{:?}", self.proxy.spoilt());
        let left_open = self.left_open();
        ensure!(left_open.is_empty(), "the client left open {left_open:?}");
        for (spoil, index) in &self.visits {
            refused(run, *index).with_context(|| spoil.file())?;
            ensure!(run.output(index + 1) == Some(CONTENT), "{} is not served afterwards", spoil.file());
        }
        Ok(())
    }
}

/// Where anything may come of a spoilt reply, anything may come of the next.
fn expect_served(spoilt: &Expect) -> Expect {
    if *spoilt == Expect::Any { Expect::Any } else { Expect::Success }
}

/// Each spoilt reply fails with an I/O error and its rule in the log; the next reply on the same
/// mount is served.
fn malformed_replies_are_rejected(bench: &Bench) -> Result<()> {
    let expect = Expect::Failure(Errno::EIO);
    let spoilt = Spoilt::with(bench, &bench.tree, rebuilt(bench, &bench.prepared)?, &expect)?;
    let run = bench.run("rebuild-malformed", &spoilt.payload, |_| {})?;
    spoilt.require_refused(&run)?;
    require_ours(&run)?;
    for (spoil, index) in &spoilt.visits {
        let log = refused(&run, *index)?;
        let line = format!("rejected: rule={} command=", spoil.rule.name());
        ensure!(log.contains(&line), "{}: {line:?} is not in the log: {log}", spoil.file());
    }
    Ok(())
}

/// The newest kernel without Rust whose series has something to mend.
fn a_kernel_without_rust_is_mended(bench: &Bench) -> Result<()> {
    mended(bench, &without_rust(bench)?)
}

/// Every kernel that is prepared on this machine and has something to mend.
fn every_prepared_kernel_is_mended(bench: &Bench) -> Result<()> {
    for kdir in Kdir::all(&bench.context.cache, &bench.context.report) {
        if has_series(kdir.release())? {
            mended(bench, kdir.release())?;
        }
    }
    Ok(())
}

/// No spoilt reply is used by the rebuilt client of a kernel, whichever way it is mended. What the
/// stock client makes of the same replies is shown and not judged.
fn mended(bench: &Bench, release: &Release) -> Result<()> {
    let prepared = prepare::provide_for(&bench.context, Some(release), RootChoice::Auto, project()?.rust())?;
    let tree = boot::tree(&prepared.kdir)?;
    let run = |client: Client, expect: &Expect, name: &str| -> Result<(Spoilt, Run)> {
        let spoilt = Spoilt::with(bench, &tree, client, expect)?;
        let options = Options::default();
        let log = bench.logs.join(format!("rebuild-{release}-{name}.log"));
        let run = boot::boot(&bench.context, &prepared.kdir, &spoilt.payload, &log, &options)?;
        let served = |(_, index): &&(Spoil, usize)| refused(&run, *index).is_err();
        let used: Vec<String> = spoilt.visits.iter().filter(served).map(|(spoil, _)| spoil.file()).collect();
        let (verdict, reason) = (run.judgement.verdict, &run.judgement.reason);
        eprintln!("{release}, {name} client: {verdict}: {reason}; spoilt replies that it used: {used:?}");
        Ok((spoilt, run))
    };
    run(Client::Stock, &Expect::Any, "stock")?;
    let (spoilt, run) = run(rebuilt(bench, &prepared)?, &Expect::Any, "rebuilt")?;
    require_ours(&run)?;
    spoilt.require_refused(&run)
}

/// Whether there is something to mend in a kernel.
pub(crate) fn has_series(release: &Release) -> Result<bool> {
    let series = Series::open(&project()?.dir, release);
    Ok(series.is_ok_and(|series| series.is_some_and(|series| series.names().next().is_some())))
}

/// A kernel of the default flavour and without Rust whose series is not empty: the newest, or one
/// that is prepared.
pub(crate) fn without_rust(bench: &Bench) -> Result<Release> {
    let archive = DebianArchive::open(&bench.context, Age::Current)?;
    let mut found = Vec::new();
    for kernel in archive.kernels() {
        let release = kernel.release.clone();
        if release.flavour() != known::usual().default_flavour(Architecture::Amd64) {
            continue;
        }
        let mended = has_series(&release)?;
        if mended && !KernelFacts::of(&archive.config(&kernel)?).rust {
            found.push(release);
        }
    }
    let prepared = found.iter().find(|release| Kdir::open(&bench.context.cache, release).is_some());
    prepared
        .or(found.first())
        .cloned()
        .context("the archive has no kernel without Rust that there is a series for")
}

/// What the kernel logged while a step failed.
fn refused(run: &Run, wanted: usize) -> Result<String> {
    let log = run.events.iter().find_map(|event| match event {
        Event::StepEnded { index, outcome: StepOutcome::Failed { .. }, log, .. } if *index == wanted => {
            Some(log)
        }
        _ => None,
    });
    Ok(log.context("was not refused")?.iter().map(|line| format!("{}\n", line.text)).collect())
}
