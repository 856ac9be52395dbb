// SPDX-License-Identifier: GPL-2.0
//! Reads a `dkms.conf` as bash would, and runs nothing.

pub mod directives;
pub mod exclusive;
pub mod pattern;
mod reader;

pub use reader::{DkmsConf, Evaluated, Given, HIGHEST, Unreadable, Values, plain_words};
