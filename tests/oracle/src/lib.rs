// SPDX-License-Identifier: GPL-2.0
//! The oracle: the SMB client's own parsing functions, compiled from the kernel's source behind a
//! small set of stand-ins (`c/`), and run as a program of their own that answers over a pipe.
//!
//! The source is unpacked from the distribution's package of it at test time, and removed with the
//! test. A verdict of the oracle is that of the function itself; nothing of it is written again.

pub mod extract;
pub mod program;
pub mod source;

pub use program::{Function, Oracle, Question};
