// SPDX-License-Identifier: GPL-2.0
//! Runs the verifier over a network capture: what would enforcing reject on this network?
//!
//! From bytes to verdicts, each step in a file of its own, none of them doing anything but reading:
//! a capture's packets (`file`), unpacked (`packed`), their TCP segments (`segment`), each
//! direction's bytes in order, with what is missing between them (`stream`), messages (`framing`),
//! what requests ask for (`request`), replies beside their requests and the verdict on each
//! (`conversation`), and all of it for any number of connections (`survey`).
//!
//! A capture is as hostile as the network that it was taken from. Nothing is trusted, and memory is
//! bounded by what was captured, never by what a length claims.

mod conversation;
pub mod file;
mod framing;
mod packed;
mod request;
mod segment;
mod stream;
mod survey;

pub use conversation::{Dialect, Reply, ReplyVerdict};
pub use segment::Link;
pub use survey::{Counts, Found, Survey, Tally, Totals};

/// The port of SMB over TCP (MS-SMB2 2.1).
pub const PORT: u16 = 445;
