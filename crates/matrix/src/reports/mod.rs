// SPDX-License-Identifier: GPL-2.0
//! What came of a matrix, for whoever or whatever reads it: a terminal, a page of a forge, a
//! program, a dashboard of tests.

mod json;
mod junit;
mod markdown;
mod text;

pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub(crate) use markdown::{escaped, fenced};
pub use text::text;
