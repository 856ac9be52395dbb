// SPDX-License-Identifier: GPL-2.0
//! Replies of every kind, each changed in one way that a mended client refuses, before a real
//! client.
//!
//! For each vehicle one machine: every case asks the server for something, once with the reply
//! changed and once as it is. What the stock client makes of it is shown beside, and not judged.

mod cases;
mod conversation;

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;
use guest::ShareStep;
use kernel::kdir::Kdir;
use kernel::prepare::Prepared;
use kmodfile::release::Release;
use libtest_mimic::{Failed, Trial};
use verify::Rule;
use vm::payload::HOST;
use vm::{Run, Verdict};
use vm_protocol::{Errno, Event, Expect, StepOutcome};
use xtask::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step, mount};
use xtask::commands::test::LONG;
use xtask::share::{self as smb, Share};

use crate::bench::{Bench, verdict_is};
use crate::ksmbd;
use crate::proxy::Proxy;
use crate::rebuild::has_series;
use crate::vehicle::{self, GUARD, Vehicle};
use crate::workload::MEMORY;
use cases::{Act, CASES, Case, End, Judge, KSMBD_CASES};
use conversation::{Conversation, DUE};

/// Where the guest mounts the share, and where it mounts it once more for one case.
const MOUNT: &str = "/mnt";
const OTHER: &str = "/other";

/// Mount options: what could be a symbolic link is looked at, and nothing is remembered of a file.
const REMEMBERING_NOTHING: &str = "mfsymlinks,actimeo=0";

/// What a file holds.
const CONTENT: &str = "as the server has it";

/// The length of a file that could be a symbolic link (fs/smb/client/link.c,
/// `CIFS_MF_SYMLINK_FILE_SIZE`).
const LINK_LIKE: usize = 1067;

/// The extended attribute that is asked for, and that for the security descriptor.
const ATTRIBUTE: &str = "user.one";
const SECURITY: &str = "system.cifs_acl";

/// What makes a share refer to itself, as the root of a distributed file system.
const REFERRED: &str = "msdfs root = yes";

/// A rebuilt client logs ten lines in five seconds: after so many rejections the guest waits for so
/// long.
const LOGGED_AT_ONCE: usize = 8;
const LOG_WINDOW_MILLIS: u64 = 5200;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, check: fn(&Bench) -> Result<()>| {
        Trial::test(format!("hostile::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let mut trials = vec![
        trial("the_guard_rejects_each_by_its_rule", |bench| check(bench, &bench.prepared, Vehicle::Guard)),
        trial("the_rebuilt_client_rejects_each", |bench| check(bench, &bench.prepared, Vehicle::Rebuild)),
        trial("the_guard_rejects_each_of_ksmbd", |bench| check_ksmbd(bench, Vehicle::Guard)),
        trial("the_rebuilt_client_rejects_each_of_ksmbd", |bench| check_ksmbd(bench, Vehicle::Rebuild)),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.push(trial("the_guard_counts_each", |bench| check(bench, &bench.prepared, Vehicle::Counting)));
        trials.push(trial("the_stock_client_of_ksmbd_is_shown", |bench| check_ksmbd(bench, Vehicle::Stock)));
        trials.extend(
            bench.into_iter().flat_map(|bench| Kdir::all(&bench.context.cache, &bench.context.report)).map(
                |kdir| {
                    Trial::test(format!("hostile::kernel_{}", kdir.release()), move || {
                        let bench = bench.expect("trials are run with a bench");
                        of_kernel(bench, kdir.release()).map_err(|error| Failed::from(format!("{error:#}")))
                    })
                },
            ),
        );
    }
    trials
}

/// A kernel that is prepared on this machine and has something to mend: the stock client, shown;
/// the others, judged.
fn of_kernel(bench: &Bench, release: &Release) -> Result<()> {
    if !has_series(release)? {
        eprintln!("{release}: nothing to mend");
        return Ok(());
    }
    let prepared = vehicle::prepared(bench, release)?;
    check(bench, &prepared, Vehicle::Stock)?;
    check(bench, &prepared, Vehicle::Rebuild)?;
    if has_rust(&prepared)? { check(bench, &prepared, Vehicle::Guard) } else { Ok(()) }
}

fn has_rust(prepared: &Prepared) -> Result<bool> {
    Ok(prepared.kdir.config()?.is_yes("CONFIG_RUST"))
}

/// The steps about one case.
struct Visit {
    case: &'static Case,
    /// Asks with the reply changed.
    asks: usize,
    /// Reads the counters after that, if there is a guard.
    counters: Option<usize>,
    /// Asks again.
    again: usize,
    proxy: Arc<Proxy<&'static str>>,
}

/// What the cases of one machine ask.
struct Site {
    cases: &'static [Case],
    /// The server's port on the host's loopback interface.
    server: u16,
    share: &'static str,
    /// Mount options.
    options: String,
}

/// Judges the cases about Samba, which runs on the host.
pub(crate) fn check(bench: &Bench, prepared: &Prepared, vehicle: Vehicle) -> Result<()> {
    let referred = CASES.iter().filter(|case| case.act == Act::MountReferred);
    let referred: Vec<_> = referred.map(|case| (case.name, REFERRED)).collect();
    let server = Share::serve_as(&bench.context.report, &referred)?;
    lay_out(&server.files())?;
    let payload = vehicle.payload(bench, prepared)?;
    let site = Site {
        cases: CASES,
        server: server.port(),
        share: smb::NAME,
        options: format!("{},{REMEMBERING_NOTHING}", smb::OPTIONS),
    };
    check_at(bench, prepared, vehicle, payload, &site)
}

/// Judges the cases about ksmbd, which runs in the machine: from there to the proxy, and back into
/// the machine.
fn check_ksmbd(bench: &Bench, vehicle: Vehicle) -> Result<()> {
    let account = ksmbd::account();
    let mut payload = vehicle.payload(bench, &bench.prepared)?;
    ksmbd::serve(bench, &mut payload, &account)?;
    for case in KSMBD_CASES {
        lay_out_inside(&mut payload, case);
    }
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    payload.forward(server, ksmbd::PORT);
    let options = format!("vers=3.1.1,posix,{},{REMEMBERING_NOTHING}", account.options());
    let site = Site { cases: KSMBD_CASES, server, share: ksmbd::SHARE, options };
    check_at(bench, &bench.prepared, vehicle, payload, &site)
}

/// Runs the machine of a vehicle, shows what came of each case, and judges it.
fn check_at(
    bench: &Bench,
    prepared: &Prepared,
    vehicle: Vehicle,
    mut payload: Payload,
    site: &Site,
) -> Result<()> {
    let visits = visits(&mut payload, vehicle, site)?;
    vehicle.unload(&mut payload);
    let name = format!("{vehicle}-{}", prepared.kdir.release());
    let log = format!("hostile-{}-{name}", site.share);
    let run = vehicle::boot(bench, prepared, &payload, &log, MEMORY)?;
    // A client mended in C has no rules to tell of.
    let says_rules = vehicle == Vehicle::Rebuild && has_rust(prepared)?;
    let mut wrong = Vec::new();
    let mut rows = String::new();
    for (number, visit) in visits.iter().enumerate() {
        let seen = Seen::of(&run, visit, number.checked_sub(1).and_then(|before| visits.get(before)))?;
        rows.push_str(&format!("{name} {:28} {seen}\n", visit.case.name));
        if let Err(error) = judge(vehicle, says_rules, visit, &seen) {
            wrong.push(format!("{}: {error:#}\n{}", visit.case.name, seen.log));
        }
    }
    eprint!("{rows}");
    if vehicle == Vehicle::Stock {
        eprintln!("{name}: {}: {}", run.judgement.verdict, run.judgement.reason);
        return Ok(());
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), visits.len(), wrong.join("\n"));
    verdict_is(&run, Verdict::Pass)?;
    vehicle.require_loaded(&run)
}

/// Adds the steps that make what the share in the machine holds for a case.
fn lay_out_inside(payload: &mut Payload, case: &Case) {
    let path = format!("{}/{}", ksmbd::SHARED, case.name);
    payload.step(match case.act {
        Act::StatPipe => ShareStep::MakePipe { path }.into(),
        Act::List => ShareStep::LayOut { directory: path, listed: 1 }.into(),
        _ => Step::WriteFile { path, content: CONTENT.to_owned() },
    });
}

/// What the share holds for each case.
fn lay_out(files: &Utf8Path) -> Result<()> {
    for case in CASES {
        let path = files.join(case.name);
        match case.act {
            Act::List => {
                fs_err::create_dir(&path)?;
                fs_err::write(path.join("entry"), CONTENT)?;
            }
            Act::ReadLinkLike => fs_err::write(&path, &CONTENT.repeat(100).as_bytes()[..LINK_LIKE])?,
            Act::FindHole => fs_err::write(&path, vec![b'd'; 1 << 17])?,
            Act::ReadAttribute => {
                fs_err::write(&path, CONTENT)?;
                rustix::fs::setxattr(
                    path.as_std_path(),
                    ATTRIBUTE,
                    b"value",
                    rustix::fs::XattrFlags::empty(),
                )?;
            }
            Act::Watch => fs_err::create_dir(&path)?,
            Act::ReadAbsent | Act::BreakLease => {}
            _ => fs_err::write(&path, CONTENT)?,
        }
        // Served as a guest.
        if path.exists() {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            fs_err::set_permissions(&path, mode)?;
        }
    }
    Ok(())
}

/// Adds the steps about every case.
fn visits(payload: &mut Payload, vehicle: Vehicle, site: &Site) -> Result<Vec<Visit>> {
    let server = site.server;
    let mut visits: Vec<Visit> = Vec::new();
    let tampering = |due: Option<&'static Case>| -> Result<Arc<Proxy<&'static str>>> {
        let due = Arc::new(Mutex::new(due));
        Ok(Arc::new(Proxy::tampering(server, move || Conversation::new(&due))?))
    };
    let proxy = tampering(None)?;
    payload.mount_share(site.share, proxy.port(), &site.options, MOUNT);
    for case in site.cases {
        let mounts = match case.act {
            Act::Mount => Some(site.share),
            Act::MountReferred => Some(case.name),
            _ => None,
        };
        visits.push(match mounts {
            Some(share) => {
                let proxy = tampering(Some(case))?;
                let options = format!("port={},{}", proxy.port(), site.options);
                let mount = mount(&HOST.to_string(), share, &options, OTHER);
                visit_by_mount(payload, vehicle, case, mount, proxy)
            }
            None if case.act == Act::BreakLease => {
                // Nobody is between that mount and the server.
                payload.mount_share(site.share, server, &site.options, OTHER);
                let visit = visit(payload, vehicle, case, Arc::clone(&proxy));
                payload.step(Step::Unmount { target: OTHER.to_owned() });
                visit
            }
            None => visit(payload, vehicle, case, Arc::clone(&proxy)),
        });
        if vehicle == Vehicle::Rebuild && visits.len().is_multiple_of(LOGGED_AT_ONCE) {
            payload.step(Step::Settle { millis: LOG_WINDOW_MILLIS });
        }
    }
    payload.step(Step::Unmount { target: MOUNT.to_owned() });
    Ok(visits)
}

/// The place of the next step.
fn next(payload: &Payload) -> usize {
    payload.plan("").steps.len()
}

/// A case about something that a mount asks for.
fn visit_by_mount(
    payload: &mut Payload,
    vehicle: Vehicle,
    case: &'static Case,
    mount: Step,
    proxy: Arc<Proxy<&'static str>>,
) -> Visit {
    let asks = next(payload);
    let unmount = Step::Unmount { target: OTHER.to_owned() };
    payload.expect(mount.clone(), Expect::Any).expect(unmount.clone(), Expect::Any);
    let counters = vehicle.read_counters(payload);
    let again = next(payload);
    payload.expect(mount, Expect::Any).expect(unmount, Expect::Any);
    Visit { case, asks, counters, again, proxy }
}

/// A case about something that is asked for on the one mount.
fn visit(
    payload: &mut Payload,
    vehicle: Vehicle,
    case: &'static Case,
    proxy: Arc<Proxy<&'static str>>,
) -> Visit {
    let path = format!("{MOUNT}/{}", case.name);
    if case.act == Act::FindHole {
        payload.expect(ShareStep::PunchHole { path: path.clone() }, Expect::Any);
    }
    let due = Step::ReadFile { path: format!("{MOUNT}/{DUE}{}", case.name) };
    payload.expect(due, Expect::Failure(Errno::ENOENT));
    let asks = next(payload);
    payload.expect(step(case, &path, "spoilt"), Expect::Any);
    let counters = vehicle.read_counters(payload);
    let again = next(payload);
    payload.expect(step(case, &path, "sound"), Expect::Any);
    Visit { case, asks, counters, again, proxy }
}

/// What the guest does; `time` tells one time from the other.
fn step(case: &Case, path: &str, time: &str) -> Step {
    let path = path.to_owned();
    let attribute = |path, name: &str| ShareStep::ReadAttribute { path, name: name.to_owned() }.into();
    match case.act {
        Act::List => Step::ListDirectory { path },
        Act::ReadAttribute => attribute(path, ATTRIBUTE),
        Act::ReadSecurity => attribute(path, SECURITY),
        Act::StatFileSystem => ShareStep::StatFileSystem { path }.into(),
        Act::Copy => ShareStep::CopyFile { to: format!("{path}.{time}"), from: path }.into(),
        Act::FindHole => ShareStep::FindHole { path }.into(),
        Act::Watch => ShareStep::Watch { path }.into(),
        Act::Stat | Act::StatPipe => Step::Stat { path },
        Act::BreakLease => ShareStep::BreakLease {
            path: format!("{path}.{time}"),
            other: format!("{OTHER}/{}.{time}", case.name),
        }
        .into(),
        Act::Mount | Act::MountReferred | Act::Read | Act::ReadLinkLike | Act::ReadAbsent => {
            Step::ReadFile { path }
        }
    }
}

/// What came of one case.
struct Seen {
    tampered: usize,
    /// How asking ended: with an error or without. Outside, whether it was asked at all.
    asked: Option<Option<Errno>>,
    again: Option<Option<Errno>>,
    /// What asking again brought back.
    told: Option<String>,
    /// How the counters moved.
    counted: HashMap<String, i64>,
    /// What the kernel logged meanwhile.
    log: String,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = |end: Option<Option<Errno>>| match end {
            None => "not reached".to_owned(),
            Some(None) => "success".to_owned(),
            Some(Some(errno)) => errno.to_string(),
        };
        let moved = self.counted.iter().filter(|(_, by)| **by != 0);
        let mut counted: Vec<_> = moved.map(|(name, by)| format!("{name}+{by}")).collect();
        counted.sort_unstable();
        // What a client without the guard says in its log.
        let logged = self.log.split("rejected: rule=").skip(1).filter_map(|rest| rest.split(' ').next());
        counted.extend(logged.filter(|_| self.counted.is_empty()).map(str::to_owned));
        write!(
            f,
            "changed {}: {}, then {} [{}]",
            self.tampered,
            end(self.asked),
            end(self.again),
            counted.join(" ")
        )
    }
}

impl Seen {
    fn of(run: &Run, visit: &Visit, before: Option<&Visit>) -> Result<Self> {
        let name = visit.case.name;
        let tampered = visit.proxy.spoilt().iter().filter(|changed| **changed == name).count();
        let (asked, log) = ended(run, visit.asks).unzip();
        let mut counted = counters(run, visit.counters)?;
        for (name, value) in
            before.map(|before| counters(run, before.counters)).transpose()?.unwrap_or_default()
        {
            *counted.entry(name).or_default() -= value;
        }
        counted.retain(|name, _| !matches!(name.as_str(), "seen" | "checked" | "mode" | "unlogged"));
        let again = ended(run, visit.again).map(|(end, _)| end);
        let told = run.output(visit.again).map(str::to_owned);
        Ok(Self { tampered, asked, again, told, counted, log: log.unwrap_or_default() })
    }
}

/// How a step ended, and what the kernel logged meanwhile.
fn ended(run: &Run, wanted: usize) -> Option<(Option<Errno>, String)> {
    run.events.iter().find_map(|event| match event {
        Event::StepEnded { index, outcome, log, .. } if *index == wanted => {
            let error = match outcome {
                StepOutcome::Done => None,
                StepOutcome::Failed { errno, .. } => Some(*errno),
            };
            Some((error, log.iter().map(|line| format!("{}\n", line.text)).collect()))
        }
        _ => None,
    })
}

/// The guard's counters, as a step read them.
fn counters(run: &Run, step: Option<usize>) -> Result<HashMap<String, i64>> {
    let Some(text) = step.and_then(|step| run.output(step)) else { return Ok(HashMap::new()) };
    let counter = |line: &str| {
        let (name, value) = line.split_once('=').with_context(|| format!("no counter: {line}"))?;
        Ok((name.to_owned(), value.parse()?))
    };
    text.lines().map(counter).collect()
}

/// The reply was changed once; who had to refuse it did, by the right rule; and the next was
/// served.
fn judge(vehicle: Vehicle, says_rules: bool, visit: &Visit, seen: &Seen) -> Result<()> {
    let case = visit.case;
    ensure!(seen.tampered == 1, "{} replies were changed", seen.tampered);
    let asked = seen.asked.context("not reached")?;
    match (case.end, asked, vehicle) {
        (_, _, Vehicle::Counting | Vehicle::Stock) | (End::Without | End::Heeded, None, _) => {}
        (End::Stale, Some(errno), _) if errno == Errno::ESTALE => {}
        (End::Error, Some(errno), _) if is_clean(errno) => {}
        _ => bail!("asking ended with {asked:?}"),
    }
    let again = seen.again.context("not reached")?;
    let expected = (case.act == Act::ReadAbsent).then_some(Errno::ENOENT);
    ensure!(again == expected, "asking again ended with {again:?}");
    ensure!(case.act != Act::StatPipe || seen.told.as_deref() == Some("pipe"), "it is a {:?}", seen.told);
    let rule = match case.judge {
        Judge::Verifier(rule) => Some(rule),
        Judge::Client(_) => None,
    };
    if vehicle.has_guard() {
        return counted(vehicle, rule, seen);
    }
    let logged =
        rule.is_none_or(|rule| seen.log.contains(&format!("rejected: rule={} command=", rule.name())));
    ensure!(!says_rules || logged, "the log does not tell of it");
    Ok(())
}

/// Errors by which a program can tell that the server's answer was no good.
fn is_clean(errno: Errno) -> bool {
    matches!(errno, Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP)
}

/// The counter of just the one rule moved, and by one.
fn counted(vehicle: Vehicle, rule: Option<Rule>, seen: &Seen) -> Result<()> {
    let mut expected = HashMap::new();
    if let Some(rule) = rule {
        expected.insert(rule.name(), 1);
        expected.insert("malformed", 1);
        if vehicle == Vehicle::Guard {
            expected.insert("rejected", 1);
        }
    }
    let moved: HashMap<&str, i64> =
        seen.counted.iter().filter(|(_, by)| **by != 0).map(|(name, by)| (name.as_str(), *by)).collect();
    ensure!(moved == expected, "{GUARD} counted {moved:?}, not {expected:?}");
    Ok(())
}
