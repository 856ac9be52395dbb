// SPDX-License-Identifier: GPL-2.0
//! Pipelines that run a matrix of kernels on machines of somebody else's: those of a new
//! repository, and what any other repository asks for.

mod github;
mod gitlab;
mod pipeline;
mod yaml;

pub use github::github;
pub use gitlab::{gitlab, gitlab_jobs};
pub use pipeline::{CiJob, CiShare, Installation, MatrixPath, PREPARE, Pipeline};

pub(crate) use pipeline::script;
