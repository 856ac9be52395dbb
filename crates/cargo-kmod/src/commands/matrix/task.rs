// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix task`: what a node does; started by a batch script of the tool's own.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use matrix::run::StopFlag;
use matrix::slurm::{TaskEnvironment, run_task};

/// `cargo kmod matrix task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// The directory of results
    #[arg(long, value_name = "DIR")]
    pub results: Utf8PathBuf,
    /// By which the directory is known
    #[arg(long, value_name = "TEXT")]
    pub nonce: String,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &TaskArgs) -> Result<()> {
    let task = TaskEnvironment::read(|name| std::env::var(name).ok())?;
    run_task(context, &args.results, &args.nonce, task, &StopFlag::on_signals()?)
}
