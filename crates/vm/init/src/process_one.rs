// SPDX-License-Identifier: GPL-2.0
//! Process 1 of the machine: from its start to the reset.
//!
//! It must not panic and must not return, because the kernel would panic in turn and the cause
//! would be lost. Whatever goes wrong becomes an event, or, before there is a port to report on, a
//! line in the kernel log; then the machine is reset, which ends QEMU (`-no-reboot`).

use std::fs;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};
use vm_protocol::{Event, ExtraStep, GuestPlan, GuestStep, Handover, PLAN, PlannedStep, StepOutcome};

use crate::handover;
use crate::kernel_log::{self, KernelLog};
use crate::port::Port;
use crate::recorder::Recorder;
use crate::step_error::GuestStepResult;
use crate::{module, steps};

/// What init programs call from their `main`: works through the plan, performs its extra steps with
/// `extra`, and resets the machine. Anywhere but in a machine's process 1 it does nothing.
pub fn main<X: ExtraStep>(extra: impl Fn(&X) -> GuestStepResult) {
    if std::process::id() != 1 {
        eprintln!("this is the init of a virtual machine; it does nothing elsewhere");
        std::process::exit(2);
    }
    std::panic::set_hook(Box::new(|info| {
        kernel_log::write(&format!("init panicked: {info}"));
        reset();
    }));
    if let Err(why) = run(&extra) {
        kernel_log::write(&format!("init cannot go on: {why}"));
    }
    reset();
}

/// Everything up to the end of the plan. An error is one that could not be reported on the port.
fn run<X: ExtraStep>(extra: &impl Fn(&X) -> GuestStepResult) -> Result<(), String> {
    mount_kernel_filesystems()?;
    let plan = fs::read(PLAN).map_err(|error| format!("{PLAN}: {error}"))?;
    let plan: GuestPlan<X> = serde_json::from_slice(&plan).map_err(|error| format!("{PLAN}: {error}"))?;
    let mut log = KernelLog::open()?;
    for file in &plan.early {
        module::insert(file, "").map_err(|error| error.to_string())?;
    }
    let mut port = Port::open(&plan.nonce)?;
    // From here on the console shows everything, even debug messages and what `quiet` would hide.
    fs::write("/proc/sys/kernel/printk", "8").ok();
    if let Err(why) = work(&plan, extra, &mut log, &mut port) {
        port.send(Event::Broken { why })?;
    }
    // Give the host time to read the port before the reset takes it away.
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// The plan, from the greeting to the end.
fn work<X: ExtraStep>(
    plan: &GuestPlan<X>,
    extra: &impl Fn(&X) -> GuestStepResult,
    log: &mut KernelLog,
    port: &mut Port,
) -> Result<(), String> {
    port.send(Event::Hello { release: release()?, tainted: tainted()?, log: log.read_new()? })?;
    if work_steps(0, &plan.steps, extra, log, port)? && plan.waits {
        port.send(Event::Waiting { tainted: tainted()?, log: log.read_new()? })?;
        let rest: Handover<X> = handover::receive(port)?;
        work_steps(plan.steps.len(), &rest.steps, extra, log, port)?;
    }
    port.send(Event::Finished { tainted: tainted()?, log: log.read_new()? })
}

/// Steps, counted from `first`; whether all ended as expected, and not before the last. What was
/// reached is told in any case.
fn work_steps<X: ExtraStep>(
    first: usize,
    steps: &[PlannedStep<X>],
    extra: &impl Fn(&X) -> GuestStepResult,
    log: &mut KernelLog,
    port: &mut Port,
) -> Result<bool, String> {
    let mut recorder = Recorder::default();
    let mut all = (first..).zip(steps);
    while let Some((index, planned)) = all.next() {
        if !work_step(index, planned, &mut recorder, extra, log, port)? {
            let read = all.find(|(_, planned)| matches!(planned.step, GuestStep::ReadCoverage));
            read.map(|(index, read)| work_step(index, read, &mut recorder, extra, log, port)).transpose()?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// One step; whether it ended as expected.
fn work_step<X: ExtraStep>(
    index: usize,
    planned: &PlannedStep<X>,
    recorder: &mut Recorder,
    extra: &impl Fn(&X) -> GuestStepResult,
    log: &mut KernelLog,
    port: &mut Port,
) -> Result<bool, String> {
    kernel_log::write(&format!("step {index}: {}", planned.step));
    port.send(Event::StepStarted { index })?;
    let taint_before = tainted()?;
    let started = Instant::now();
    let (outcome, output) = match steps::perform(&planned.step, recorder, extra) {
        Ok(output) => (StepOutcome::Done, output),
        Err(error) => error.reported(),
    };
    recorder.after(&planned.step);
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let met = planned.expect.is_met_by(&outcome);
    let (log, taint_after) = (log.read_new()?, tainted()?);
    port.send(Event::StepEnded { index, outcome, millis, output, log, taint_before, taint_after })?;
    Ok(met)
}

fn mount_kernel_filesystems() -> Result<(), String> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    let table = [
        ("devtmpfs", "/dev", MountFlags::NOSUID),
        ("proc", "/proc", flags | MountFlags::NODEV),
        ("sysfs", "/sys", flags | MountFlags::NODEV),
    ];
    for (kind, target, flags) in table {
        fs::create_dir_all(target).map_err(|error| format!("{target}: {error}"))?;
        mount(kind, target, kind, flags, None).map_err(|error| format!("mounting {kind}: {error}"))?;
    }
    // Not every kernel has debugfs; a step that reads it says so.
    mount("debugfs", "/sys/kernel/debug", "debugfs", flags, None).ok();
    Ok(())
}

fn release() -> Result<String, String> {
    read_line("/proc/sys/kernel/osrelease")
}

fn tainted() -> Result<u64, String> {
    let text = read_line("/proc/sys/kernel/tainted")?;
    text.parse().map_err(|_| format!("/proc/sys/kernel/tainted: {text}"))
}

fn read_line(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(text.trim_end().to_owned())
}

fn reset() -> ! {
    reboot(RebootCommand::Restart).ok();
    // Not reached with the privileges of init; returning from process 1 would panic the kernel.
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
