// SPDX-License-Identifier: GPL-2.0
//! Starts a machine: from where one with the same beginning was saved, or with a boot.

use anyhow::Result;
use vm_protocol::{Event, ExtraStep, GuestPlan};

use crate::machine::Machine;
use crate::run::Run;
use crate::{cold, warm};
use kernel::context::Context;

impl<X: ExtraStep> Machine<'_, X> {
    /// Runs it to the verdict. `on_event` is told what the guest reports, as it does. Where there
    /// is any doubt about a saved machine, that is said, and the machine boots.
    ///
    /// # Errors
    ///
    /// If QEMU cannot be started or files cannot be written. Whatever happens from then on is a
    /// verdict.
    pub fn run(&self, context: &Context, mut on_event: impl FnMut(&GuestPlan<X>, &Event)) -> Result<Run> {
        let accelerator = self.accelerator(context)?;
        if self.warm && warm::suits(self) {
            match warm::run(self, context, accelerator, &mut on_event) {
                Ok(run) => return Ok(run),
                Err(doubt) => context.report.note("Booting", &format!("cold: {doubt:#}")),
            }
        }
        cold::run(self, context, accelerator, &mut on_event)
    }
}
