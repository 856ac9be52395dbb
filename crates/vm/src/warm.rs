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
use crate::machine::Machine;
use crate::monitor::Monitor;
use crate::qemu::{self, Arguments, Boot, SavedMemory};
use crate::run::Run;
use crate::session::{Session, nonce, random_digits};
use crate::snapshot::{SavedState, Snapshot, Snapshots, Unsaved};
use crate::verdict::Ending;
use kernel::context::Context;
use kernel::machine::{facts, programs};
use report::cache::Cache;
use report::fingerprint::Fingerprint;
use report::process::Cmd;

/// Changes when what is saved, or how, does.
const REVISION: u32 = 1;

/// What the guest gets to begin its random numbers with, in bytes.
const ENTROPY: usize = 32;

/// Whether such a machine can be saved: one with a network has a peer that cannot.
pub(crate) fn suits<X: ExtraStep>(machine: &Machine<'_, X>) -> bool {
    let connected = machine.payload.needs_network() || machine.payload.forwarded().is_some();
    machine.secure_boot.is_none() && machine.capture.is_none() && !machine.counted && !connected
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
    let parameters = machine.parameters(accelerator);
    let place = SavedMemory { file: "memory".into(), monitor: "monitor".into(), goes_on: false };
    let cmd = command(machine, accelerator, "port".into(), "initrd".into(), &parameters, place);
    let board = Board::of(payload.architecture());
    let qemu = programs::find(board.qemu()).context("QEMU is not installed")?;
    let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let print = Fingerprint::new("snapshot", REVISION)
        .text("boot of the host", boot.trim())
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

fn command<X: ExtraStep>(
    machine: &Machine<'_, X>,
    accelerator: Accelerator,
    port: &Utf8Path,
    initrd: &Utf8Path,
    parameters: &str,
    saved: SavedMemory<'_>,
) -> Cmd {
    qemu::command(&Arguments {
        architecture: machine.payload.architecture(),
        accelerator,
        boot: Boot::Direct { vmlinux: machine.vmlinux, initrd, parameters },
        memory: machine.memory,
        processors: machine.processors,
        // What it is called has no part in what the guest is.
        console: if port.is_absolute() { machine.console_log } else { "console".into() },
        port,
        network: false,
        forward: None,
        capture: None,
        counted: false,
        saved: Some(saved),
    })
}

/// Boots the machine until it waits, and saves it.
fn save<X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    unsaved: &Unsaved<'_>,
) -> Result<SavedState> {
    require_space(&context.cache, machine.memory)?;
    let session = Session::begin()?;
    let payload = machine.payload;
    let plan = payload.plan_to_wait(&nonce()?);
    fs_err::write(unsaved.initramfs(), payload.initramfs(&plan)?)?;
    let (port, monitor) = (session.listen("port")?, session.listen("monitor")?);
    let (memory, to) = (unsaved.memory(), session.path("monitor"));
    let place = SavedMemory { file: &memory, monitor: &to, goes_on: false };
    let parameters = machine.parameters(accelerator);
    let initrd = unsaved.initramfs();
    let cmd = command(machine, accelerator, &session.path("port"), &initrd, &parameters, place);
    fs_err::write(machine.console_log, "")?;
    let mut qemu = machine.start(context, &cmd)?;
    let mut watch = machine.watch(&plan, port, accelerator)?;
    let mut monitor = Monitor::accept(&monitor)?;
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
    let session = Session::begin()?;
    let plan = machine.payload.plan(&nonce()?);
    let (port, monitor) = (session.listen("port")?, session.listen("monitor")?);
    let (memory, to) = (snapshot.memory(), session.path("monitor"));
    let place = SavedMemory { file: &memory, monitor: &to, goes_on: true };
    let parameters = machine.parameters(accelerator);
    let initrd = snapshot.initramfs();
    let cmd = command(machine, accelerator, &session.path("port"), &initrd, &parameters, place);
    // What comes is appended.
    fs_err::write(machine.console_log, &snapshot.console)?;
    let mut qemu = machine.start(context, &cmd)?;
    let mut watch = machine.watch(&plan, port, accelerator)?;
    watch.recall(&snapshot.events, on_event);
    Monitor::accept(&monitor)?.restore(&snapshot.devices, &session.path("devices"))?;
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
