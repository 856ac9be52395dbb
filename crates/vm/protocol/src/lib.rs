// SPDX-License-Identifier: GPL-2.0
//! What the host and the init inside a virtual machine say to each other.
//!
//! The host puts a [`GuestPlan`] into the initramfs. The init works through it and reports each
//! [`Event`] as one line of JSON, a [`Message`], on a virtio-serial port. Every message repeats the
//! nonce of the run, so that nothing else that reaches the port can pass for a report.
//!
//! A machine whose plan says so waits once the steps are done, and is handed the rest of it
//! ([`Handover`]): it can be saved there, and run on from there any number of times.
//!
//! A plan is made of steps that suit any module. Whoever needs more adds a type of its own
//! ([`ExtraStep`]): the plan and the init that works through it then both name that type, so that a
//! plan cannot reach an init that does not know its steps.
//!
//! This crate only has types and how they are written. It does no input or output, and knows
//! neither how the machine is run nor how a step is performed.

mod errno;
mod event;
mod log;
mod plan;
mod reached;

pub use errno::Errno;
pub use event::{Event, Message, StepOutcome};
pub use log::LogLine;
pub use plan::{
    Expect, ExtraStep, GuestPlan, GuestStep, HandedFile, Handover, NoExtraStep, PlannedStep, Talk, TalkedOver,
};
pub use reached::{ReachedPlaces, SectionHits};

/// The virtio-serial port the init reports on, as `/sys/class/virtio-ports/*/name` shows it.
pub const PORT: &str = "org.cargo-kmod.verdict";

/// The port that takes what a program prints that talks to the user.
pub const OUTPUT_PORT: &str = "org.cargo-kmod.output";

/// Where the plan is in the initramfs.
pub const PLAN: &str = "/plan.json";

/// The directory of the initramfs that module files are in.
pub const MODULES: &str = "/modules";

/// The first word of the lines that the init itself writes to the kernel log, one before each step.
pub const MARKER: &str = "cargo-kmod:";

/// At most so many bytes of a file ([`GuestStep::ReadFile`]) or of a program's output
/// ([`GuestStep::Run`]) are brought back.
pub const OUTPUT_LIMIT: usize = 256 * 1024;
