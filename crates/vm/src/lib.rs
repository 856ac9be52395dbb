// SPDX-License-Identifier: GPL-2.0
//! A virtual machine that boots one kernel with one initramfs and ends with a verdict.
//!
//! [`payload::Payload`] says what happens inside, [`machine::Machine`] runs it, [`verdict`] judges it. The kernel's log goes to
//! a file from the first byte, the reports of init to a port of their own (`guest`); QEMU's exit status proves nothing.

pub mod accelerator;
pub mod boot;
pub mod console;
pub mod guest;
pub mod initramfs;
pub mod kernel_image;
pub mod machine;
pub mod modules;
pub mod payload;
pub mod qemu;
pub mod secure_boot;
pub mod system;
pub mod verdict;

pub use machine::{Limits, Machine, Run};
pub use payload::Payload;
pub use verdict::{Judgement, Verdict};
