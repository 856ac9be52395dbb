// SPDX-License-Identifier: GPL-2.0
//! The machine the tool runs on: which programs it has, and how it gets those it lacks.

pub(crate) mod apt;
pub mod facts;
pub mod package_tool;
pub mod program;
pub mod programs;
pub(crate) mod rpm_progress;
mod search_path;
pub mod user;
