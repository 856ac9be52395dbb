// SPDX-License-Identifier: GPL-2.0
//! Runs a machine from its boot to the verdict.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Result;
use vm_protocol::{Event, ExtraStep, GuestPlan, TalkedOver};

use crate::accelerator::Accelerator;
use crate::child_process::ChildProcess;
use crate::machine::Machine;
use crate::qemu::{self, Arguments, Boot, Shares, Talked};
use crate::run::Run;
use crate::session::{Session, nonce};
use crate::terminal::{self, KeptTerminal};
use kernel::context::Context;

/// What serves the directories that it shares, until the values end.
fn served<X>(machine: &Machine<'_, X>, context: &Context, session: &Session) -> Result<Vec<ChildProcess>> {
    let all: Result<Vec<_>> = machine.shares.iter().map(|share| share.serve(context, session)).collect();
    Ok(all?.into_iter().flatten().collect())
}

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
    let output = session.path("output");
    let printed = match machine.talk {
        Some(TalkedOver::Port) => Some(terminal::print_from(session.listen("output")?)),
        _ => None,
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
        shares: Shares { all: &machine.shares, session: Some(session.dir()) },
        talk: machine.talk.map(|over| match over {
            TalkedOver::Terminal { .. } => Talked::Terminal,
            TalkedOver::Port => Talked::Socket(&output),
        }),
        debugger: machine.debugger.as_deref(),
    });
    let cmd = match machine.talk {
        Some(TalkedOver::Terminal { .. }) => {
            cmd.stdin(Arc::new(std::io::stdin().as_fd().try_clone_to_owned()?.into()))
        }
        _ => cmd,
    };
    let _terminal = machine.talk.map(|_| KeptTerminal::now());
    let _daemons = served(machine, context, &session)?;
    // The log of an earlier run must not be judged again.
    fs_err::write(machine.console_log, "")?;
    let qemu = machine.start(context, &cmd)?;
    let mut watch = machine.watch(&plan, port, accelerator)?;
    let ending = watch.until_end(qemu, on_event)?;
    // All that it printed is out before the verdict is.
    printed.map(JoinHandle::join);
    Ok(watch.run(&ending, accelerator, machine.console_log))
}
