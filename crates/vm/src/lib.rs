// SPDX-License-Identifier: GPL-2.0
//! A virtual machine that boots one kernel with one initramfs and ends with a verdict.
//!
//! A [`Payload`] says what happens inside and has the init that does it ([`Init`]), a [`Machine`]
//! runs it, [`verdict`] judges it. The kernel's log goes to a file from the first byte, the reports
//! of the init to a port of their own (`vm_protocol`); QEMU's exit status proves nothing.
//!
//! It knows neither what the modules are for nor what steps somebody's own init adds to those of
//! `vm_protocol`; it is given an init as a value, and its own is inside this crate.

pub mod accelerator;
pub mod board;
pub mod boot;
mod child_process;
mod cold;
mod connection;
pub mod console;
pub mod coverage;
pub mod debugger;
pub mod decode;
pub mod event_log;
mod guest_file;
pub mod host_program;
pub mod init;
pub mod initramfs;
mod kernel_frames;
pub mod kernel_image;
pub mod ktap;
pub mod leaks;
pub mod limits;
pub mod machine;
pub mod modules;
mod monitor;
pub mod payload;
pub mod probe;
pub mod qemu;
pub mod refusal;
pub mod run;
pub mod secure_boot;
mod session;
pub mod share;
mod snapshot;
pub mod source_place;
mod start;
mod symbol_file;
mod symbol_name;
pub mod system;
pub mod terminal;
pub mod test_programs;
pub mod trace;
pub mod verdict;
mod warm;
mod watch;

pub use guest_file::GuestFile;
pub use init::Init;
pub use limits::Limits;
pub use machine::Machine;
pub use payload::Payload;
pub use refusal::LoaderRefusal;
pub use run::Run;
pub use verdict::{Judgement, Verdict};
