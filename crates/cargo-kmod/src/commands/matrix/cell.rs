// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix cell`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use kernel::context::Context;
use matrix::cell_result::{CellResult, status_word};
use matrix::plan::Plan;
use matrix::results::ResultsDir;
use matrix::run::{RunOptions, StopFlag, ToolCall, run_cell};
use report::failure::{Exit, Failure};

use super::ResultsArgs;

/// `cargo kmod matrix cell`.
#[derive(Debug, Args)]
pub struct CellArgs {
    /// The cell, by its identifier or as many of its first digits as tell which
    #[arg(value_name = "ID")]
    pub id: String,
    /// The plan that it is in [default: the one in the directory of results]
    #[arg(long, value_name = "FILE")]
    pub plan: Option<Utf8PathBuf>,
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// Runs it; the status is that of the cell, whatever is expected of it.
pub(super) fn run(context: &Context, args: &CellArgs) -> Result<()> {
    let stop = StopFlag::on_signals()?;
    let dir = args.results.dir(context)?;
    let plan = match &args.plan {
        Some(file) => Plan::read(file)?,
        None => ResultsDir::open(&dir)?.1,
    };
    let cell = plan.cell(&args.id)?;
    if context.dry_run {
        context.report.say(&format!("would run {}", cell.title()));
        return Ok(());
    }
    let results = ResultsDir::create(&dir)?;
    let options = RunOptions { again: true, ..RunOptions::default() };
    let tool = ToolCall::of(context, context.jobs);
    let step = context.report.step("Running", &cell.title());
    let result = run_cell(&plan, cell, &results, &tool, &options, &stop, |_| {})?;
    step.done("Ran", &cell.title());
    context.report.data(&result);
    context.report.say(&format!("{}  {}", cell.title(), status_word(result.status())));
    require_pass(&result, &cell.title())
}

fn require_pass(result: &CellResult, title: &str) -> Result<()> {
    if result.stopped {
        return Err(Failure::new(Exit::Failed, title, "was ended before it was done").into());
    }
    let Some(step) = result.failed() else { return Ok(()) };
    let failure =
        Failure::new(Exit::of_status(step.status), title, format!("{}: {}", step.step, step.reason));
    Err(Failure { remedy: step.remedy.clone(), ..failure }.into())
}
