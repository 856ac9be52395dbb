// SPDX-License-Identifier: GPL-2.0
//! Runs a machine on from where one with the same beginning was saved: booted, with the kernel's
//! own modules in, waiting for the rest of its plan.
//!
//! The guest cannot tell: the same steps are done in the same order by the same init. The time, the
//! run's nonce and randomness are sent once it goes on.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;
use vm_protocol::{Event, ExtraStep, GuestPlan};

use crate::accelerator::Accelerator;
use crate::board::Board;
use crate::child_process::ChildProcess;
use crate::machine::Machine;
use crate::monitor::Monitor;
use crate::qemu::{self, Arguments, Boot, SavedMemory, Shares};
use crate::run::Run;
use crate::session::{Session, nonce, random_digits};
use crate::snapshot::{SavedState, Snapshot, Snapshots, Unsaved};
use crate::verdict::Ending;
use crate::watch::Watch;
use kernel::context::Context;
use kernel::machine::{facts, programs};
use report::cache::Cache;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

/// Changes when what is saved, or how, does.
const REVISION: u32 = 1;

/// What the guest gets to begin its random numbers with, in bytes.
const ENTROPY: usize = 32;

/// Whether such a machine can be saved: one that something outside takes part in cannot, as that is
/// not.
pub(crate) fn suits<X: ExtraStep>(machine: &Machine<'_, X>) -> bool {
    let connected = machine.payload.needs_network() || machine.payload.forwarded().is_some();
    let watched = machine.capture.is_some() || machine.talk.is_some() || machine.debugger.is_some();
    machine.secure_boot.is_none() && machine.shares.is_empty() && !machine.counted && !watched && !connected
}

/// Runs it on from where it was saved; it is booted and saved first, where it never was.
///
/// # Errors
///
/// Whenever there is any doubt; what was saved is not used again then.
pub(crate) fn run<X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
) -> Result<Run> {
    let snapshots = Snapshots::of(&context.cache);
    let key = key(machine, accelerator)?;
    let run = snapshots
        .provide(&key, &context.report, |unsaved| save(machine, context, accelerator, unsaved))
        .and_then(|snapshot| go_on(machine, context, accelerator, &snapshot, on_event));
    run.inspect_err(|_| {
        snapshots.forget(&key).ok();
    })
}

/// What a saved machine is known by: all that it comes of.
fn key<X: ExtraStep>(machine: &Machine<'_, X>, accelerator: Accelerator) -> Result<String> {
    let payload = machine.payload;
    // What files are called has no part in what the guest is.
    let saved = SavedMemory { file: "memory".into(), monitor: "monitor".into(), goes_on: false };
    let cmd = command(machine, accelerator, ("console".into(), "port".into()), "initrd".into(), saved);
    let board = Board::of(payload.architecture());
    let qemu = programs::find(board.qemu()).context("QEMU is not installed")?;
    let print = Fingerprint::new("snapshot", REVISION)
        .text("boot of the host", &facts::boot_id()?)
        .text("qemu", &dated(&qemu)?)
        .text("command", &cmd.line())
        .text("kernel", &dated(machine.vmlinux)?)
        .bytes("initramfs", &payload.initramfs(&payload.plan_to_wait(""))?);
    Ok(print.hex())
}

/// A file by its path, size and date.
fn dated(path: &Utf8Path) -> Result<String> {
    let path = path.canonicalize_utf8()?;
    let file = fs_err::metadata(&path)?;
    let date = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{path} {} {}", file.len(), date.as_nanos()))
}

/// The command that runs the machine with its console and its port in these files.
fn command<X: ExtraStep>(
    machine: &Machine<'_, X>,
    accelerator: Accelerator,
    (console, port): (&Utf8Path, &Utf8Path),
    initrd: &Utf8Path,
    saved: SavedMemory<'_>,
) -> Cmd {
    let parameters = &machine.parameters(accelerator);
    qemu::command(&Arguments {
        architecture: machine.payload.architecture(),
        accelerator,
        boot: Boot::Direct { vmlinux: machine.vmlinux, initrd, parameters },
        memory: machine.memory,
        processors: machine.processors,
        console,
        port,
        network: false,
        forward: None,
        capture: None,
        counted: false,
        saved: Some(saved),
        shares: Shares::default(),
        talk: None,
        debugger: None,
    })
}

/// A machine with its memory in a file, while it runs.
struct Started<'p, X> {
    session: Session,
    qemu: ChildProcess,
    watch: Watch<'p, X>,
    monitor: Monitor,
}

/// Starts the machine with its memory in `file`. Its console goes on after `printed`: the log of an
/// earlier run must not be judged again.
fn start<'p, X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    plan: &'p GuestPlan<X>,
    (file, goes_on): (&Utf8Path, bool),
    initrd: &Utf8Path,
    printed: &[u8],
) -> Result<Started<'p, X>> {
    let session = Session::begin()?;
    let (port, monitor) = (session.listen("port")?, session.listen("monitor")?);
    let saved = SavedMemory { file, monitor: &session.path("monitor"), goes_on };
    let files = (machine.console_log, session.path("port"));
    let cmd = command(machine, accelerator, (files.0, &files.1), initrd, saved);
    fs_err::write(machine.console_log, printed)?;
    let qemu = machine.start(context, &cmd)?;
    let watch = machine.watch(plan, port, accelerator)?;
    Ok(Started { session, qemu, watch, monitor: Monitor::accept(&monitor)? })
}

/// Boots the machine until it waits, and saves it.
fn save<X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    unsaved: &Unsaved<'_>,
) -> Result<SavedState> {
    require_space(&context.cache, machine.memory)?;
    let payload = machine.payload;
    let plan = payload.plan_to_wait(&nonce()?);
    let (memory, initrd) = (unsaved.memory(), unsaved.initramfs());
    fs_err::write(&initrd, payload.initramfs(&plan)?)?;
    let Started { session, mut qemu, mut watch, mut monitor } =
        start(machine, context, accelerator, &plan, (&memory, false), &initrd, b"")?;
    match watch.until_reason(&mut qemu, &mut |_, _| {})? {
        Ending::Waiting => {}
        other => bail!("the machine could not be saved: {other:?}"),
    }
    let devices = monitor.save(&session.path("devices"))?;
    drop(qemu);
    let console = fs_err::read(machine.console_log)?;
    let (events, trouble) = watch.seen()?;
    ensure!(trouble.is_none(), "the machine is not saved: {}", trouble.unwrap_or_default());
    Ok(SavedState { events, devices, console })
}

/// The memory may be touched as a whole.
fn require_space(cache: &Cache, megabytes: u32) -> Result<()> {
    Ok(facts::require_space(cache, u64::from(megabytes) << 20, "a saved machine takes")?)
}

/// Has a saved machine go on, with the rest of the plan.
fn go_on<X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    snapshot: &Snapshot,
    on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
) -> Result<Run> {
    let plan = machine.payload.plan(&nonce()?);
    let (memory, initrd) = (snapshot.memory(), snapshot.initramfs());
    let Started { session, mut qemu, mut watch, mut monitor } =
        start(machine, context, accelerator, &plan, (&memory, true), &initrd, &snapshot.console)?;
    watch.recall(&snapshot.events, on_event);
    monitor.restore(&snapshot.devices, &session.path("devices"))?;
    watch.send(&mut qemu, handed_over(machine, &plan.nonce)?)?;
    let ending = watch.until_end(qemu, on_event)?;
    let mut run = watch.run(&ending, accelerator, machine.console_log);
    ensure!(
        run.events.len() > snapshot.events.len(),
        "the saved machine did not go on ({})",
        run.judgement.reason
    );
    run.warm = true;
    Ok(run)
}

/// The rest of the plan, as it is written to the port.
fn handed_over<X: ExtraStep>(machine: &Machine<'_, X>, nonce: &str) -> Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let time = u64::try_from(now.as_micros())?;
    let handover = machine.payload.handover(nonce, time, random_digits(ENTROPY)?);
    let mut bytes = serde_json::to_vec(&handover)?;
    bytes.push(b'\n');
    machine.payload.handed_over().for_each(|file| bytes.extend(file));
    Ok(bytes)
}
