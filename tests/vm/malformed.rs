// SPDX-License-Identifier: GPL-2.0
//! What the guard is for: a real client, a real server, and between them a proxy that spoils one
//! reply in one way for each rule of the verifier.
//!
//! Two machines in all, one a mode; the trials read what came of them. The client is the stock one
//! of a kernel with the public fixes, so that in the mode that only counts nothing worse happens
//! than that it refuses by itself.

use std::collections::HashMap;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use verify::Rule;
use vm::modules::GuestModule;
use vm::{Run, Verdict};
use vm_protocol::{Errno, Event, Expect, StepOutcome};
use xtask::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step};
use xtask::repository;
use xtask::share::{self as smb, Share};

use crate::bench::{Bench, verdict_is};
use crate::frames::{RULES, Spoil};
use crate::proxy::Proxy;

/// The guard's module.
const GUARD: &str = "cifs_fix";

/// Where the guest mounts the share.
const MOUNT: &str = "/mnt";

/// What every file in the share holds.
const CONTENT: &str = "as the server has it";

/// A file whose replies are passed on as they are.
const SOUND: &str = "sound";

/// What the client logs of a reply that is shorter than it says (fs/smb/client/smb2misc.c).
const CLIENT_FOUND_SHORT: &str = "Server response too short";

/// The guard logs ten lines in five seconds: after so many replies that it rejects, the guest waits
/// for so long.
const LOGGED_AT_ONCE: usize = 8;
const LOG_WINDOW_MILLIS: u64 = 5200;

/// What the guard does with a malformed reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Count,
    Reject,
}

impl Mode {
    fn parameter(self) -> &'static str {
        match self {
            Self::Count => "mode=0",
            Self::Reject => "mode=1",
        }
    }

    /// The first word of the line that the guard logs.
    fn word(self) -> &'static str {
        match self {
            Self::Count => "counted",
            Self::Reject => "rejected",
        }
    }

    /// Its machine, which is run when the first trial asks for it.
    fn machine(self, bench: &Bench) -> Result<&'static Observed> {
        static COUNTING: OnceLock<Result<Observed>> = OnceLock::new();
        static REJECTING: OnceLock<Result<Observed>> = OnceLock::new();
        let cell = match self {
            Self::Count => &COUNTING,
            Self::Reject => &REJECTING,
        };
        cell.get_or_init(|| observe(bench, self)).as_ref().map_err(|error| anyhow!("{error:#}"))
    }
}

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    [Mode::Reject, Mode::Count].into_iter().flat_map(|mode| trials_of(mode, bench)).collect()
}

fn trials_of(mode: Mode, bench: Option<&'static Bench>) -> impl Iterator<Item = Trial> {
    let rule =
        move |rule: Rule| trial(bench, mode, rule.name(), move |observed| rule_is_seen(observed, rule));
    RULES.into_iter().map(rule).chain([
        trial(bench, mode, "unaltered_traffic_is_sound", nothing_is_malformed),
        trial(bench, mode, "the_mount_goes_on_and_all_unloads", all_goes_on),
    ])
}

/// A trial that reads something off the machine of a mode.
fn trial<F>(bench: Option<&'static Bench>, mode: Mode, name: &str, check: F) -> Trial
where
    F: FnOnce(&Observed) -> Result<()> + Send + 'static,
{
    Trial::test(format!("malformed::{}::{name}", mode.word()), move || {
        let bench = bench.expect("trials are run with a bench");
        let outcome = mode.machine(bench).and_then(check);
        outcome.map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// The steps about one file.
#[derive(Clone, Copy, Debug)]
struct Visit {
    read: usize,
    /// The guard's counters after that.
    counters: usize,
    /// The file once more.
    again: usize,
}

/// A machine that has run, and what the proxy did meanwhile.
#[derive(Debug)]
struct Observed {
    mode: Mode,
    run: Run,
    sound: Visit,
    visits: Vec<(Spoil, Visit)>,
    spoilt: Vec<Spoil>,
    connections: usize,
}

/// Runs the machine of one mode.
fn observe(bench: &Bench, mode: Mode) -> Result<Observed> {
    let guard = build(&bench.context, &Project::open(&repository())?, &bench.prepared)?;
    let guard = GuestModule::read(&guard.object(GUARD).context("the build made no guard")?.file)?;
    let share = Share::serve(&bench.context.report)?;
    for file in Spoil::all().map(Spoil::file).chain([SOUND.to_owned()]) {
        fs_err::write(share.files().join(file), CONTENT)?;
    }
    let (proxy, left_open) = Proxy::before(share.port())?;
    let mut payload = bench.payload()?;
    payload.network(&bench.tree)?.insert_stock(&bench.tree, &["cifs"])?.cifs_companions(&bench.tree)?;
    payload.insert_with(&bench.tree, guard, mode.parameter())?;
    payload.mount_share(smb::NAME, proxy.port(), smb::OPTIONS, MOUNT);
    let sound = visit(&mut payload, SOUND, Expect::Success);
    let visits = spoilt_visits(&mut payload, mode);
    payload.step(Step::Unmount { target: MOUNT.to_owned() }).remove(GUARD).remove("cifs");
    let run = bench.run(&format!("malformed-{}", mode.word()), &payload, |_| {})?;
    let left_open = left_open.lock().expect("no holder panics").len();
    eprintln!("malformed-{}: handles that the client left open: {left_open}", mode.word());
    Ok(Observed { mode, run, sound, visits, spoilt: proxy.spoilt(), connections: proxy.connections() })
}

/// Visits every file whose reply is spoilt. How that ends is for the trials to judge, not for the
/// machine.
fn spoilt_visits(payload: &mut Payload, mode: Mode) -> Vec<(Spoil, Visit)> {
    let mut visits = Vec::new();
    for spoil in Spoil::all() {
        visits.push((spoil, visit(payload, &spoil.file(), Expect::Any)));
        if mode == Mode::Reject && visits.len() % LOGGED_AT_ONCE == 0 {
            payload.step(Step::Settle { millis: LOG_WINDOW_MILLIS });
        }
    }
    visits
}

/// Reads a file of the share, the counters, and the file again, which is then served as it is.
fn visit(payload: &mut Payload, file: &str, expect: Expect) -> Visit {
    let read = payload.plan("").steps.len();
    let step = Step::ReadFile { path: format!("{MOUNT}/{file}") };
    payload.expect(step.clone(), expect);
    payload.step(Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/counters") });
    payload.step(step);
    Visit { read, counters: read + 1, again: read + 2 }
}

impl Observed {
    /// How a file was read: the error, if it was not, and what the kernel logged meanwhile.
    fn read(&self, visit: Visit) -> Result<(Option<Errno>, String)> {
        let ended = self.run.events.iter().find_map(|event| match event {
            Event::StepEnded { index, outcome, log, .. } if *index == visit.read => Some((outcome, log)),
            _ => None,
        });
        let (outcome, log) = ended.with_context(|| self.not_reached())?;
        let error = match outcome {
            StepOutcome::Done => None,
            StepOutcome::Failed { errno, .. } => Some(*errno),
        };
        Ok((error, log.iter().map(|line| format!("{}\n", line.text)).collect()))
    }

    /// The counters after a file was visited.
    fn counters(&self, visit: Visit) -> Result<HashMap<&str, usize>> {
        let counter = |line| {
            let (name, value) = str::split_once(line, '=').with_context(|| format!("no counter: {line}"))?;
            Ok((name, value.parse()?))
        };
        self.run.output(visit.counters).with_context(|| self.not_reached())?.lines().map(counter).collect()
    }

    fn not_reached(&self) -> String {
        format!("the machine ended before: {}", self.run.judgement.reason)
    }
}

/// Every reply that was spoilt so as to break `rule` is counted as just that, logged, and not used
/// by the client.
fn rule_is_seen(observed: &Observed, rule: Rule) -> Result<()> {
    let visits = observed.visits.iter().enumerate().filter(|(_, (spoil, _))| spoil.rule == rule);
    for (nth, (before, (spoil, visit))) in visits.enumerate() {
        let file = spoil.file();
        let times = observed.spoilt.iter().filter(|spoilt| *spoilt == spoil).count();
        ensure!(times == 1, "{file}: the proxy spoilt {times} replies");
        let counters = observed.counters(*visit)?;
        let rejected = if observed.mode == Mode::Reject { before + 1 } else { 0 };
        let expected = [(rule.name(), nth + 1), ("malformed", before + 1), ("rejected", rejected)];
        for (counter, value) in expected {
            ensure!(counters.get(counter) == Some(&value), "{file}: {counter} is not {value}: {counters:?}");
        }
        let (error, log) = observed.read(*visit)?;
        refused(observed.mode, error).with_context(|| format!("{file}: {log}"))?;
        logged(observed.mode, rule, &log).with_context(|| format!("{file}: {log}"))?;
        ensure!(observed.run.output(visit.again) == Some(CONTENT), "{file} is not served afterwards");
    }
    Ok(())
}

/// The client takes a rejected reply for an I/O error, and tries no more. One that is only counted
/// is for the client to refuse, with an error of its own choice.
fn refused(mode: Mode, error: Option<Errno>) -> Result<()> {
    match (mode, error) {
        (Mode::Reject, Some(Errno::EIO)) | (Mode::Count, Some(_)) => Ok(()),
        _ => bail!("reading ended with {error:?}"),
    }
}

/// A rejection has its line in the log. Without the pauses that are made for it, a line may fall to
/// the limit.
fn logged(mode: Mode, rule: Rule, log: &str) -> Result<()> {
    let start = format!("{GUARD}: {}: rule={} command=CREATE offset=", mode.word(), rule.name());
    let line = log.lines().find_map(|line| line.strip_prefix(&start));
    let has_offset = line.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    ensure!(has_offset || mode == Mode::Count, "nothing begins with {start:?} and a number");
    // Of a reply that was rejected, the client's own checks saw nothing.
    ensure!(mode == Mode::Count || !log.contains(CLIENT_FOUND_SHORT), "the client looked at it itself");
    Ok(())
}

/// What the server sends by itself is verified, and sound.
fn nothing_is_malformed(observed: &Observed) -> Result<()> {
    let counters = observed.counters(observed.sound)?;
    let value = |name| counters.get(name).copied();
    ensure!(value("checked") > Some(0) && value("malformed") == Some(0), "{counters:?}");
    ensure!(observed.run.output(observed.sound.read) == Some(CONTENT), "the file is not what it should be");
    Ok(())
}

/// After all that, the connection is the same, the share is unmounted, both modules leave, and the
/// kernel has not complained.
fn all_goes_on(observed: &Observed) -> Result<()> {
    verdict_is(&observed.run, Verdict::Pass)?;
    ensure!(observed.connections == 1, "the client connected {} times", observed.connections);
    let (_, last) = observed.visits.last().context("no rules")?;
    let counters = observed.counters(*last)?;
    ensure!(counters.get("missed") == Some(&0), "calls passed by the hook: {counters:?}");
    ensure!(counters.get("malformed") == Some(&observed.spoilt.len()), "{counters:?} {:?}", observed.spoilt);
    Ok(())
}
