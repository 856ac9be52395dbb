// SPDX-License-Identifier: GPL-2.0
//! Would a kernel load this module? Answered without booting, by the kernel's own rules
//! (kernel/module/main.c, version.c, signing.c).
//!
//! A module that a kernel would load only if forced to (`CONFIG_MODULE_FORCE_LOAD`: no vermagic, no
//! CRCs at all) counts as refused: modprobe(8) does not force by itself.

pub mod answer;
mod judge;
pub mod target;
pub mod unpacking;
