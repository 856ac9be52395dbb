// SPDX-License-Identifier: GPL-2.0
//! The init of a virtual machine: works through a plan, reports on a port, and resets the machine.
//!
//! An init is a program whose `main` is [`main`], with a function that performs its extra steps
//! ([`vm_protocol::ExtraStep`]). It is linked statically, because the initramfs has no C library.
//!
//! It knows neither the host's side of the machine nor what a module is for.

mod handover;
mod kernel_log;
mod module;
mod network;
mod port;
mod process_one;
mod program;
mod recorder;
mod recording;
mod step_error;
mod steps;

pub use kernel_log::{KernelLog, write as write_to_kernel_log};
pub use process_one::main;
pub use step_error::{GuestStepResult, StepError};
