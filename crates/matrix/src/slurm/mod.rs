// SPDX-License-Identifier: GPL-2.0
//! The cells of a plan on a cluster of Slurm's: a job array with a task for each kernel.
//!
//! The directory of results is shared with the nodes, and all that comes of a cell is its file
//! there: what Slurm says of a task only tells why a file is missing.

mod client;
mod jobs;
mod script;
mod submission;
mod submit;
mod task;
mod version;

pub use client::SlurmClient;
pub use jobs::{JobState, JobStep, is_over};
pub use submission::{Submission, SubmittedArray};
pub use submit::{SlurmRequest, SubmitOrder, submit};
pub use task::{TaskEnvironment, TaskPlace, run_task};
