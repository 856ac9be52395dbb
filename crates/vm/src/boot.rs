// SPDX-License-Identifier: GPL-2.0
//! Boots a prepared kernel with a payload, shows what happens there, and hands back the run.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use vm_protocol::{Event, ExtraStep, GuestPlan, GuestStep, LogLine, StepOutcome};

use crate::event_log::EventLog;
use crate::kernel_image;
use crate::ktap::KtapReport;
use crate::leaks::{KMEMLEAK, LostObject};
use crate::limits::Limits;
use crate::machine::Machine;
use crate::modules::ModuleTree;
use crate::payload::Payload;
use crate::run::Run;
use crate::secure_boot::{self, SecureBoot};
use crate::verdict::Verdict;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kernel::origin::Origin;
use report::destination::Destination;
use report::durable;
use report::failure::Failure;
use report::{ProgressUnit, seconds, size};

/// What the user may choose about a machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Further kernel parameters.
    pub append: Vec<String>,
    /// The longest a run may take, as said by the user; not multiplied without KVM.
    pub limit: Option<Duration>,
    /// Whether the machine may go on from where an earlier one was saved.
    pub warm: bool,
    /// Gets what happens, as lines of JSON ([`EventLog`]).
    pub events: Option<Destination>,
}

impl Default for Options {
    /// A machine that boots, with memory for a few modules.
    fn default() -> Self {
        Self { memory: 256, processors: 1, append: Vec::new(), limit: None, warm: false, events: None }
    }
}

/// The least memory of a machine with a sanitizing kernel, in MiB: KASAN takes an eighth of it, and
/// what was freed is kept for a while.
const SANITIZING_MEMORY: u32 = 512;

/// Kernel parameters of a sanitizing kernel: its detectors of hangs wait longer, as it is slower,
/// and its log has room for what it says of a fault. What its modules record are addresses less the
/// distance by which the kernel was moved, so it stays where it is.
///
/// With checks on (`F`) the allocator keeps no arrays of free objects for each processor. kmemleak
/// reads these, and what was just allocated is still in them: it would not be told as lost. Before
/// 6.9 the parameter had the other name.
const SANITIZING: &[&str] = &[
    "log_buf_len=2M",
    "nokaslr",
    "slab_debug=F",
    "slub_debug=F",
    "rcupdate.rcu_cpu_stall_timeout=40",
    "watchdog_thresh=20",
    "sysctl.kernel.hung_task_timeout_secs=60",
    "sysctl.kernel.hung_task_check_interval_secs=20",
];

/// The modules of a prepared kernel.
pub fn tree(kdir: &Kdir) -> Result<ModuleTree> {
    kdir.require_whole()?;
    ModuleTree::open(kdir.stamp().architecture, &kdir.modules())
}

/// Boots `kdir` with `payload`; the console goes to `console_log`.
pub fn boot<X: ExtraStep>(
    context: &Context,
    kdir: &Kdir,
    payload: &Payload<X>,
    console_log: &Utf8Path,
    options: &Options,
) -> Result<Run> {
    boot_with(context, kdir, payload, console_log, options, None)
}

/// The same, through firmware, shim and GRUB where `secure_boot` is given.
pub fn boot_with<X: ExtraStep>(
    context: &Context,
    kdir: &Kdir,
    payload: &Payload<X>,
    console_log: &Utf8Path,
    options: &Options,
    secure_boot: Option<SecureBoot<'_>>,
) -> Result<Run> {
    let vmlinux = vmlinux(context, kdir)?;
    let mut machine = machine(kdir, &vmlinux, payload, console_log, options);
    if secure_boot.is_some() {
        machine.memory = machine.memory.max(secure_boot::MEMORY);
        machine.secure_boot = secure_boot;
    }
    run(context, kdir, &machine, options, |_, _| {})
}

/// A machine that boots `kdir`, of which `vmlinux` is the kernel, as the user wants it.
pub fn machine<'a, X: ExtraStep>(
    kdir: &Kdir,
    vmlinux: &'a Utf8Path,
    payload: &'a Payload<X>,
    console_log: &'a Utf8Path,
    options: &Options,
) -> Machine<'a, X> {
    let mut machine = Machine::new(vmlinux, payload, console_log);
    machine.memory = options.memory;
    machine.processors = options.processors;
    machine.warm = options.warm;
    if matches!(kdir.stamp().origin, Origin::Sanitizing { .. }) {
        machine.memory = machine.memory.max(SANITIZING_MEMORY);
        machine.limits = Limits::of_sanitizing();
        machine.goes_on = true;
        machine.append.extend(SANITIZING.iter().copied().map(str::to_owned));
    }
    machine.append.extend(options.append.iter().cloned());
    if let Some(limit) = options.limit {
        machine.limits = Limits::exactly(limit);
    }
    machine
}

/// Runs it, and shows what happens; `on_event` is told besides. Once a program in it talks to the
/// user, nothing else does.
pub fn run<X: ExtraStep>(
    context: &Context,
    kdir: &Kdir,
    machine: &Machine<'_, X>,
    options: &Options,
    mut on_event: impl FnMut(&GuestPlan<X>, &Event),
) -> Result<Run> {
    let mut shown = Some(context.report.step("Booting", kdir.release().as_str()));
    let console = machine.console_log.to_owned();
    if let Some(step) = &shown {
        step.tell(move || last_line(&console));
    }
    let log = options.events.as_ref().map(|to| EventLog::append_to(to, kdir.release()));
    let mut log = log.transpose()?;
    let run = machine.run(context, |plan, event| {
        if let Some(log) = &mut log {
            log.event(plan, event);
        }
        on_event(plan, event);
        if matches!(event, Event::StepStarted { .. })
            && matches!(step_of(plan, event), Some(GuestStep::Talk(_)))
            && let Some(step) = shown.take()
        {
            step.done("Booted", kdir.release().as_str());
        }
        let Some(step) = &shown else { return };
        context.report.output_line(&told(plan, event));
        if let Event::StepEnded { index, .. } = event {
            step.count(ProgressUnit::Things("step", "steps"), plan.steps.len() as u64);
            step.reach(*index as u64 + 1);
        }
    })?;
    log.map_or(Ok(()), |log| log.end(&run))?;
    let release = kdir.release();
    let (done, how) = match run.boot.map(seconds) {
        Some(up) if run.warm => ("Resumed", format!("first step after {up}")),
        Some(up) => ("Booted", format!("init after {up}")),
        None => ("Booted", "init never ran".to_owned()),
    };
    if let Some(step) = shown {
        step.done(done, &format!("{release} ({how})"));
    }
    Ok(run)
}

/// The step that an event is about.
fn step_of<'p, X>(plan: &'p GuestPlan<X>, event: &Event) -> Option<&'p GuestStep<X>> {
    let index = match event {
        Event::StepStarted { index } | Event::StepEnded { index, .. } => *index,
        _ => return None,
    };
    plan.steps.get(index).map(|planned| &planned.step)
}

/// The kernel as QEMU starts it, unpacked once, where that is not how it is installed.
pub fn vmlinux(context: &Context, kdir: &Kdir) -> Result<Utf8PathBuf> {
    let vmlinuz = kdir.vmlinuz()?;
    let mut head = Vec::new();
    fs_err::File::open(&vmlinuz)?.take(64).read_to_end(&mut head)?;
    if kernel_image::is_arm64_image(&head) {
        return Ok(vmlinuz);
    }
    let file = kdir.place().join("vmlinux");
    if !file.exists() {
        let step = context.report.step("Unpacking", "vmlinux");
        let image = kernel_image::vmlinux(&vmlinuz)?;
        durable::replace(&file, &image)?;
        step.done("Unpacked", &format!("vmlinux ({})", size(image.len() as u64)));
    }
    Ok(file)
}

/// How much of the console's end is looked at, in bytes.
const END: i64 = 1024;

/// The last line on the console, from which one sees how far the kernel is.
fn last_line(console_log: &Utf8Path) -> String {
    let end = || {
        let mut file = fs_err::File::open(console_log).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::End(-END.min(i64::try_from(length).ok()?))).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
    };
    end().unwrap_or_default()
}

/// One line about an event, for whoever watches.
fn told<X: ExtraStep>(plan: &GuestPlan<X>, event: &Event) -> String {
    let shown =
        |index: &usize| plan.steps.get(*index).map(|planned| planned.step.to_string()).unwrap_or_default();
    match event {
        Event::Hello { release, .. } => format!("{release} is up"),
        Event::StepStarted { index } => shown(index),
        Event::StepEnded { index, outcome: StepOutcome::Done, millis, .. } => {
            format!("{}: {millis} ms", shown(index))
        }
        Event::StepEnded { index, outcome: StepOutcome::Failed { errno, message, .. }, .. } => {
            format!("{}: {errno}: {message}", shown(index))
        }
        Event::Waiting { .. } => "waiting".to_owned(),
        Event::Broken { why } => format!("init: {why}"),
        Event::Finished { .. } => "finished".to_owned(),
    }
}

/// What a module said in the kernel log, in order: lines that begin with its name.
pub fn said_by<'a>(run: &'a Run, module: &str) -> Vec<&'a str> {
    let logs = run.events.iter().flat_map(|event| match event {
        Event::Hello { log, .. } | Event::StepEnded { log, .. } | Event::Finished { log, .. } => {
            log.as_slice()
        }
        _ => &[],
    });
    let prefix = format!("{module}: ");
    logs.filter_map(|LogLine { text, .. }| text.strip_prefix(&prefix)).collect()
}

/// What the tests in modules said, in the kernel log of the steps that inserted them.
pub fn tests_in(run: &Run) -> KtapReport {
    let logs = run.events.iter().flat_map(|event| match event {
        Event::StepEnded { log, .. } | Event::Finished { log, .. } => log.as_slice(),
        _ => &[],
    });
    // A line end within a message is written as an escape (Documentation/ABI/testing/dev-kmsg).
    KtapReport::parse(logs.flat_map(|line| line.text.split(r"\x0a")))
}

/// What kmemleak listed, as far as the run came.
pub fn lost_objects<X: ExtraStep>(payload: &Payload<X>, run: &Run) -> Vec<LostObject> {
    let plan = payload.plan("");
    let reads = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, planned)| matches!(&planned.step, GuestStep::ReadFile { path } if path == KMEMLEAK));
    let mut all: Vec<LostObject> = Vec::new();
    for object in reads.filter_map(|(index, _)| run.output(index)).flat_map(LostObject::parse_all) {
        // What is lost is listed again each time.
        if !all.contains(&object) {
            all.push(object);
        }
    }
    all
}

/// The run's verdict as a result: anything but a pass is a failure with the verdict's own exit
/// status.
pub fn require_pass(run: &Run, object: &str) -> Result<()> {
    let judgement = &run.judgement;
    if judgement.verdict == Verdict::Pass {
        return Ok(());
    }
    let reason = format!("{}: {}", judgement.verdict, judgement.reason);
    Err(Failure::new(judgement.verdict.exit(), object, reason)
        .remedy(format!("the whole console is in {}", run.console_log))
        .into())
}
