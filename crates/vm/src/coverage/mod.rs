// SPDX-License-Identifier: GPL-2.0
//! Which lines of a project are reached: what the guest recorded in instrumented modules, led back
//! to the source.
//!
//! The kernel records for each task (Documentation/dev-tools/kcov.rst): that of the init, which
//! inserts and removes modules, and those of the programs that it runs. What interrupts, timers,
//! work queues and threads of the kernel do is not seen.

mod debug_lines;
mod instrumented;
mod lcov;
mod measured;
mod source_file;

pub use lcov::tracefile;
pub use measured::{Coverage, FileCoverage, LineRange, RecordingCode, recorded};
