// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix task`: what a node does; started by a batch script of the tool's own.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use kernel::context::Context;
use matrix::run::StopFlag;
use matrix::slurm::{TaskEnvironment, TaskPlace, run_task};
use report::durable;

/// `cargo kmod matrix task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// The directory of results
    #[arg(long, value_name = "DIR")]
    pub results: Utf8PathBuf,
    /// By which the directory is known
    #[arg(long, value_name = "TEXT")]
    pub nonce: String,
    /// A directory of this node's own, with the tool and the plan; it is removed at the end
    #[arg(long, value_name = "DIR")]
    pub own: Option<Utf8PathBuf>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &TaskArgs) -> Result<()> {
    let task = TaskEnvironment::read(|name| std::env::var(name).ok())?;
    let place = TaskPlace { results: &args.results, nonce: &args.nonce, own: args.own.as_deref() };
    let ended = run_task(context, place, task, &StopFlag::on_signals()?);
    ended.and(args.own.as_deref().map_or(Ok(()), remove_own))
}

/// Removes what was brought to the node, and nothing that was not.
fn remove_own(own: &Utf8Path) -> Result<()> {
    for name in ["cargo-kmod", "plan.json"] {
        durable::remove(&own.join(name))?;
    }
    durable::remove_empty_dir(own)
}
