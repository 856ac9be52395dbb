// SPDX-License-Identifier: GPL-2.0
//! Runs a machine from its boot to the verdict.

use anyhow::Result;
use vm_protocol::{Event, ExtraStep, GuestPlan};

use crate::accelerator::Accelerator;
use crate::machine::Machine;
use crate::qemu::{self, Arguments, Boot};
use crate::run::Run;
use crate::session::{Session, nonce};
use kernel::context::Context;

/// Boots it, and works through the whole plan.
pub(crate) fn run<X: ExtraStep>(
    machine: &Machine<'_, X>,
    context: &Context,
    accelerator: Accelerator,
    on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
) -> Result<Run> {
    let session = Session::begin()?;
    let plan = machine.payload.plan(&nonce()?);
    let initrd = session.path("initramfs.cpio");
    fs_err::write(&initrd, machine.payload.initramfs(&plan)?)?;
    let port = session.listen("port")?;
    let parameters = machine.parameters(accelerator);
    let firmware = machine
        .secure_boot
        .map(|secure_boot| secure_boot.lay_out(context, session.dir(), &initrd, &parameters))
        .transpose()?;
    let boot = match &firmware {
        Some(firmware) => Boot::Firmware(firmware),
        None => Boot::Direct { vmlinux: machine.vmlinux, initrd: &initrd, parameters: &parameters },
    };
    let cmd = qemu::command(&Arguments {
        architecture: machine.payload.architecture(),
        accelerator,
        boot,
        memory: machine.memory,
        processors: machine.processors,
        console: machine.console_log,
        port: &session.path("port"),
        network: machine.payload.needs_network(),
        forward: machine.payload.forwarded(),
        capture: machine.capture.as_deref(),
        counted: machine.counted,
        saved: None,
    });
    // The log of an earlier run must not be judged again.
    fs_err::write(machine.console_log, "")?;
    let qemu = machine.start(context, &cmd)?;
    let mut watch = machine.watch(&plan, port, accelerator)?;
    let ending = watch.until_end(qemu, on_event)?;
    Ok(watch.run(&ending, accelerator, machine.console_log))
}
