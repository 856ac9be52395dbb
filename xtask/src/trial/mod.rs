// SPDX-License-Identifier: GPL-2.0
//! Kernels that were tried: prepared, built for and booted, one after another, and the document
//! that says what came of it.
//!
//! [`attempt`] tries one as a user would, [`record`] keeps what was seen, [`page`] shows it.

pub mod attempt;
pub mod page;
pub mod record;
