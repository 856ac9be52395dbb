// SPDX-License-Identifier: GPL-2.0
//! The rebuilt client in the place of the stock one: it mounts a real share, and refuses what the guard refuses.

use anyhow::{Context as _, Result, ensure};
use guest::{Event, Expect, Outcome, Step};
use libtest_mimic::{Failed, Trial};
use xtask::context::repository;
use xtask::project::Project;
use xtask::project::build::build;
use xtask::share::{self as smb, Share};
use xtask::vm::boot;
use xtask::vm::modules::Module;
use xtask::vm::{Payload, Run, Verdict};

use crate::frames::Spoil;
use crate::proxy::Proxy;
use crate::{Bench, verdict_is};

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
    vec![
        trial("a_real_share_is_mounted", a_real_share_is_mounted),
        trial("every_malformed_reply_is_rejected_by_its_rule", malformed_replies_are_rejected),
    ]
}

/// A machine's payload up to the mount: the rebuilt client, after what it depends on, and no stock one.
fn mounted(bench: &Bench, port: u16) -> Result<Payload> {
    let project = Project::open(&repository().join("cifs"))?;
    let built = build(&bench.context, &project, &bench.prepared)?;
    let client = Module::read(&built.object(MODULE).context("the build made no client")?.file)?;
    let mut payload = bench.payload()?;
    payload.network(&bench.tree)?.insert_with(&bench.tree, client, "")?.cifs_companions(&bench.tree)?;
    payload.mount_share(smb::NAME, port, smb::OPTIONS, MOUNT);
    Ok(payload)
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
    let mut payload = mounted(bench, server.port())?;
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

/// Each spoilt reply fails with an I/O error and its rule in the log; the next reply on the same mount is served.
fn malformed_replies_are_rejected(bench: &Bench) -> Result<()> {
    let server = Share::serve(&bench.context.report)?;
    for spoil in Spoil::all() {
        fs_err::write(server.files().join(spoil.file()), CONTENT)?;
    }
    let proxy = Proxy::before(server.port())?;
    let mut payload = mounted(bench, proxy.port())?;
    let mut visits = Vec::new();
    for spoil in Spoil::all() {
        let read = Step::ReadFile { path: format!("{MOUNT}/{}", spoil.file()) };
        visits.push((spoil, payload.plan("").steps.len()));
        payload.expect(read.clone(), Expect::Failure("EIO".to_owned())).step(read);
        if visits.len() % LOGGED_AT_ONCE == 0 {
            payload.step(Step::Settle { millis: LOG_WINDOW_MILLIS });
        }
    }
    payload.step(Step::Unmount { target: MOUNT.to_owned() }).remove(MODULE);
    let run = bench.run("rebuild-malformed", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    require_ours(&run)?;
    ensure!(proxy.connections() == 1, "the client connected {} times", proxy.connections());
    ensure!(proxy.spoilt().len() == visits.len(), "{:?}", proxy.spoilt());
    for (spoil, index) in visits {
        let log = refused(&run, index).with_context(|| spoil.file())?;
        let line = format!("rejected: rule={} command=", spoil.rule.name());
        ensure!(log.contains(&line), "{}: {line:?} is not in the log: {log}", spoil.file());
        ensure!(run.output(index + 1) == Some(CONTENT), "{} is not served afterwards", spoil.file());
    }
    Ok(())
}

/// What the kernel logged while a step failed.
fn refused(run: &Run, wanted: usize) -> Result<String> {
    let log = run.events.iter().find_map(|event| match event {
        Event::StepEnded { index, outcome: Outcome::Failed { .. }, log, .. } if *index == wanted => Some(log),
        _ => None,
    });
    Ok(log.context("was not refused")?.iter().map(|line| format!("{}\n", line.text)).collect())
}
