// SPDX-License-Identifier: GPL-2.0
//! What users see, how things end, the one way to run another program, and what is kept between
//! runs.
//!
//! It knows nothing of kernels, of modules, or of the packages that programs are in.

pub mod cache;
pub mod destination;
pub mod durable;
pub mod failure;
pub mod fingerprint;
mod live;
mod outputs;
pub mod process;
mod progress;
pub mod storage;
mod table;
mod units;

pub use live::ProgressUnit;
pub use outputs::{error_line, print};
pub use progress::{Report, Step, TOOL};
pub use table::table;
pub use units::{counted, seconds, size};
