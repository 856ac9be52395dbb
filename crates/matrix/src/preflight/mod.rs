// SPDX-License-Identifier: GPL-2.0
//! What the archive's next kernels will break, before the machines get them: the kernels that are
//! newer than those of the last result, run with its projects, and what has changed in them of what
//! the projects' modules use.
//!
//! Which kernels those are, what has changed, and how it is told are functions of texts and values;
//! only `compare` looks at files.

mod compare;
mod declaration;
mod html;
mod newer;
mod preflight_report;
#[cfg(test)]
mod sample;
mod symbol_change;
mod types;
mod wanted;

pub use compare::{PlanResults, report};
pub use html::page;
pub use newer::{NewKernel, newer};
pub use preflight_report::{PreflightCell, PreflightReport};
pub use symbol_change::SymbolChange;
pub use wanted::wanted;
