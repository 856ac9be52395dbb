// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix preflight`.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use kernel::context::Context;
use matrix::plan::Plan;
use matrix::planning;
use matrix::preflight::{self, NewKernel, PlanResults, PreflightReport};
use matrix::results::ResultsDir;
use matrix::run::{RunOptions, StopFlag};
use report::destination::Destination;
use report::durable;
use report::failure::{Exit, Failure};
use report::process::Cmd;

use super::ResultsArgs;
use super::report::{require_one_output, to_output};
use super::wanted::VERSION;
use crate::commands::tested::here;

/// What was said last, in the results of new kernels.
const SAID: &str = "preflight.json";

/// `cargo kmod matrix preflight`.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    /// The matrix, whose rules hold for new kernels as well [default: the one of the last result]
    #[arg(value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
    /// Write a page to this file, or standard output (-)
    #[arg(long, value_name = "FILE")]
    pub html: Option<Destination>,
    /// Write the report to this file, or standard output (-), in Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<Destination>,
    /// Run this program when there is something new to say; it comes last, with all its arguments
    ///
    /// It has the report on standard input, and in KMOD_PREFLIGHT_STATUS whether something breaks:
    /// 1, else 0. What was said the last time is nothing new.
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true)]
    pub notify: Vec<String>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &PreflightArgs) -> Result<()> {
    require_one_output(context, args.to_output())?;
    let stop = StopFlag::on_signals()?;
    let (results, last) = ResultsDir::open(&args.results.dir(context)?)?;
    let new = newer(context, &last)?;
    if new.is_empty() {
        return args.tell(context, &PreflightReport::default());
    }
    let plan = plan(context, args, &last, &new)?;
    if context.dry_run {
        plan.cells.iter().for_each(|cell| context.report.say(&format!("would run {}", cell.title())));
        return Ok(());
    }
    let of_new = ResultsDir::create(&results.dir().join("preflight"))?;
    of_new.write_plan(&plan)?;
    matrix::run::run(context, &plan, &of_new, &RunOptions::default(), &stop)?;
    let (kept, kept_last) = (of_new.read_all(&plan), results.read_all(&last));
    let (now, last) =
        (PlanResults { plan: &plan, kept: &kept }, PlanResults { plan: &last, kept: &kept_last });
    let report = preflight::report(context, last, now, &new, &of_new, &stop)?;
    args.tell(context, &report)?;
    if !stop.is_set() {
        args.notify(context, &report, &of_new.dir().join(SAID))?;
    }
    require_good(&report)
}

/// The kernels of the archive that the last plan does not have.
fn newer(context: &Context, last: &Plan) -> Result<Vec<NewKernel>> {
    let architectures: BTreeSet<_> = last.kernels.iter().map(|kernel| kernel.architecture).collect();
    let mut archive = Vec::new();
    for architecture in architectures {
        archive.extend(planning::everywhere(context, architecture)?);
    }
    Ok(preflight::newer(last, &archive))
}

/// The cells of new kernels.
fn plan(context: &Context, args: &PreflightArgs, last: &Plan, new: &[NewKernel]) -> Result<Plan> {
    let here = here()?;
    let file = args.file.as_ref().map(|file| here.join(file)).or_else(|| last.file.clone());
    let wanted = preflight::wanted(last, file.as_deref(), new)?;
    let base = file.as_deref().and_then(Utf8Path::parent).unwrap_or(&here);
    planning::plan(context, &wanted, base, file.as_deref(), VERSION)
}

impl PreflightArgs {
    /// Shows and writes the report.
    fn tell(&self, context: &Context, report: &PreflightReport) -> Result<()> {
        for (to, text) in [
            (&self.html, preflight::page as fn(&PreflightReport) -> String),
            (&self.markdown, PreflightReport::markdown),
        ] {
            match to {
                Some(to) if context.dry_run => context.report.say(&format!("would write {to}")),
                Some(to) => to.write(&text(report))?,
                None => {}
            }
        }
        if context.report.json() {
            context.report.data(report);
        } else if self.to_output().is_empty() {
            context.report.say(&report.text());
        } else {
            report::error_line(&report.text());
        }
        Ok(())
    }

    /// Tells the user's program what the last report did not say, and keeps that it is said.
    fn notify(&self, context: &Context, report: &PreflightReport, said: &Utf8Path) -> Result<()> {
        let before = fs_err::read(said).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if before.as_ref() == Some(report) {
            return Ok(());
        }
        if let Some((program, words)) = self.notify.split_first() {
            let status = if report.is_good() { "0" } else { "1" };
            let cmd = Cmd::new(program).args(words).env("KMOD_PREFLIGHT_STATUS", status);
            cmd.input(format!("{}\n", report.text())).run(&context.report)?;
        }
        durable::replace(said, &serde_json::to_vec_pretty(report)?)
    }

    fn to_output(&self) -> Vec<&'static str> {
        to_output(&[("--html", &self.html), ("--markdown", &self.markdown)])
    }
}

fn require_good(report: &PreflightReport) -> Result<()> {
    if report.is_good() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "preflight", report.headline()).into())
}
