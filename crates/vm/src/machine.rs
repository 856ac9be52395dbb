// SPDX-License-Identifier: GPL-2.0
//! A machine, ready to run: what boots, what happens in it, what it has.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use vm_protocol::{ExtraStep, GuestPlan, NoExtraStep, TalkedOver};

use crate::accelerator::Accelerator;
use crate::child_process::ChildProcess;
use crate::console::Scanner;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::probe;
use crate::qemu;
use crate::secure_boot::SecureBoot;
use crate::share::SharedDirectory;
use crate::watch::Watch;
use kernel::context::Context;
use report::process::Cmd;

/// A machine, ready to run.
#[derive(Clone, Debug)]
pub struct Machine<'a, X = NoExtraStep> {
    /// An uncompressed kernel ([`super::kernel_image::vmlinux`]) for the payload's architecture.
    pub vmlinux: &'a Utf8Path,
    /// The init, and what it does in there.
    pub payload: &'a Payload<X>,
    /// Gets the console log, from the first byte.
    pub console_log: &'a Utf8Path,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Firmware, boot loader and disk of a machine with Secure Boot; without them QEMU starts
    /// `vmlinux` itself.
    pub secure_boot: Option<SecureBoot<'a>>,
    /// Further kernel parameters.
    pub append: Vec<String>,
    /// Kernel messages that hold one of these words are no trouble, whatever they look like.
    pub allowed: Vec<String>,
    /// How long it may take.
    pub limits: Limits,
    /// Whether a run goes on after trouble that the kernel survives: what a sanitizing kernel finds
    /// does not keep it from finding more.
    pub goes_on: bool,
    /// How instructions are executed; `None` finds out, and says why when it is not KVM. For
    /// several runs, ask [`probe::choose`] once.
    pub accelerator: Option<Accelerator>,
    /// Gets what passes over the machine's network, as pcap, if there is a network.
    pub capture: Option<Utf8PathBuf>,
    /// Whether instructions are counted: the guest's clock goes on by a nanosecond with each.
    /// Emulated only.
    pub counted: bool,
    /// Directories of the host in it.
    pub shares: Vec<SharedDirectory>,
    /// What a program in it talks to the user over, if one does.
    pub talk: Option<TalkedOver>,
    /// A socket that a debugger finds the machine at.
    pub debugger: Option<Utf8PathBuf>,
    /// Whether it may go on from where an earlier one with the same beginning was saved.
    pub warm: bool,
}

impl<'a, X: ExtraStep> Machine<'a, X> {
    /// A machine with one processor and enough memory for a few modules.
    pub fn new(vmlinux: &'a Utf8Path, payload: &'a Payload<X>, console_log: &'a Utf8Path) -> Self {
        Self {
            vmlinux,
            payload,
            console_log,
            memory: 256,
            processors: 1,
            secure_boot: None,
            append: Vec::new(),
            allowed: Vec::new(),
            limits: Limits::default(),
            goes_on: false,
            accelerator: None,
            capture: None,
            counted: false,
            shares: Vec::new(),
            talk: None,
            debugger: None,
            warm: false,
        }
    }

    /// How its instructions are executed, found out where that is not said.
    pub(crate) fn accelerator(&self, context: &Context) -> Result<Accelerator> {
        match self.accelerator {
            Some(accelerator) => Ok(accelerator),
            None => probe::choose(context, self.payload.architecture(), self.vmlinux),
        }
    }

    /// The kernel's parameters.
    pub(crate) fn parameters(&self, accelerator: Accelerator) -> String {
        qemu::kernel_parameters(self.payload.architecture(), accelerator, self.processors, &self.append)
    }

    /// Starts it.
    pub(crate) fn start(&self, context: &Context, cmd: &Cmd) -> Result<ChildProcess> {
        context.report.command(&cmd.line());
        let on_terminal = matches!(self.talk, Some(TalkedOver::Terminal { .. }));
        let stdout = if on_terminal { Stdio::inherit() } else { Stdio::null() };
        Ok(ChildProcess::watch("QEMU", cmd.spawn(stdout, Stdio::piped())?))
    }

    /// A watch over it while it works through `plan`.
    pub(crate) fn watch<'p>(
        &self,
        plan: &'p GuestPlan<X>,
        port: UnixListener,
        accelerator: Accelerator,
    ) -> Result<Watch<'p, X>> {
        let limits = self.limits.scaled(accelerator.slowdown());
        let mut watch = Watch::new(plan, port, self.console_log, limits)?;
        watch.scanner = Scanner::allowing(&self.allowed);
        watch.goes_on = self.goes_on;
        Ok(watch)
    }
}
