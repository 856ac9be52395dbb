// SPDX-License-Identifier: GPL-2.0
//! Runs cells on this machine: each step is a run of the tool of its own, so that whatever becomes
//! of one cell, the others go on.

mod answer;
mod board;
mod built;
mod cell;
mod command;
mod local;
mod memory;
mod options;
mod program;
mod stop;
mod tool_call;
mod unprepared;

pub use built::built_modules;
pub use cell::run_cell;
pub use local::{RunCounts, run};
pub use options::RunOptions;
pub use stop::StopFlag;
pub use tool_call::ToolCall;
