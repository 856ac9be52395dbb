// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix merge`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use matrix::here::now;
use matrix::merge::merge;
use matrix::results::ResultsDir;
use matrix::run::RunOptions;

use super::ResultsArgs;
use super::ending::MatrixEnd;
use super::report::ReportArgs;

/// `cargo kmod matrix merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Directories of results, all of one plan: what `run --partition` left on several machines
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<Utf8PathBuf>,
    /// What is written of it.
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Where they are put together.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &MergeArgs) -> Result<()> {
    args.reports.require_one_output(context)?;
    let dir = args.results.dir(context)?;
    let parts = args.dirs.iter().map(|dir| ResultsDir::open(dir)).collect::<Result<Vec<_>>>()?;
    if context.dry_run {
        context.report.say(&format!("would put the results of {} together in {dir}", parts.len()));
        return Ok(());
    }
    let merged = merge(&parts, &dir)?;
    merged.notices.iter().for_each(|notice| context.report.warn(notice));
    let (plan, results) = (&merged.plan, &merged.results);
    let (options, reports) = (&RunOptions::default(), &args.reports);
    MatrixEnd { plan, results, options, reports, began: now(), ran: true }.judge(context)
}
