// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix report`.

use anyhow::Result;
use clap::Args;
use kernel::context::Context;
use matrix::history::{self, RunRecord};
use matrix::results::ResultsDir;
use matrix::summary::Summary;
use matrix::{page, reports};
use report::destination::Destination;
use report::failure::Failure;

use super::ResultsArgs;

/// So many columns a table may take.
const WIDTH: usize = 110;

/// Reports that are written of a matrix.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportArgs {
    /// Write a page to this file, or standard output (-): the whole matrix, and each cell with its
    /// reason, its trace and its logs; it needs no other file, no network and no script
    #[arg(long, value_name = "FILE")]
    pub html: Option<Destination>,
    /// Write the results to this file, or standard output (-), as JUnit's XML: a suite a kernel, a
    /// case a project, with the console of what failed; what is known to fail is skipped there
    #[arg(long, value_name = "FILE")]
    pub junit: Option<Destination>,
    /// Write a table to this file, or standard output (-), in Markdown, with what failed below it:
    /// for $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<Destination>,
}

/// `cargo kmod matrix report`.
#[derive(Debug, Args)]
pub struct MatrixReportArgs {
    /// What is written.
    #[command(flatten)]
    pub reports: ReportArgs,
    /// Where the results are.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &MatrixReportArgs) -> Result<()> {
    args.reports.require_one_output(context)?;
    let (results, plan) = ResultsDir::open(&args.results.dir(context)?)?;
    let kept = results.read_all(&plan);
    kept.faults.iter().for_each(|fault| context.report.warn(fault));
    let history = history::read(&results)?;
    history.faults.iter().for_each(|fault| context.report.warn(fault));
    args.reports.write(context, &Summary::of(&plan, &kept.results), &results, &history.runs)
}

impl ReportArgs {
    /// Writes what was asked for, and shows the table: on standard error, if a report is on the
    /// other output.
    ///
    /// # Errors
    ///
    /// If one of them cannot be written.
    pub(super) fn write(
        &self,
        context: &Context,
        summary: &Summary<'_>,
        results: &ResultsDir,
        history: &[RunRecord],
    ) -> Result<()> {
        if let Some(to) = &self.html {
            written(context, to, || page::html(summary, results, history))?;
        }
        if let Some(to) = &self.junit {
            written(context, to, || reports::junit(summary, results))?;
        }
        if let Some(to) = &self.markdown {
            written(context, to, || Ok(reports::markdown(summary)))?;
        }
        if context.report.json() {
            context.report.data(&reports::json(summary));
        }
        let text = reports::text(summary, WIDTH);
        if self.to_output().is_empty() {
            context.report.say(&text)
        } else {
            report::error_line(&text)
        }
        Ok(())
    }

    /// Refuses two reports that would go to standard output.
    ///
    /// # Errors
    ///
    /// Usage.
    pub(super) fn require_one_output(&self, context: &Context) -> Result<(), Failure> {
        require_one_output(context, self.to_output())
    }

    fn to_output(&self) -> Vec<&'static str> {
        to_output(&[("--html", &self.html), ("--junit", &self.junit), ("--markdown", &self.markdown)])
    }
}

/// The options of which the report goes to standard output.
pub(super) fn to_output(all: &[(&'static str, &Option<Destination>)]) -> Vec<&'static str> {
    all.iter().filter(|(_, to)| **to == Some(Destination::Output)).map(|(option, _)| *option).collect()
}

/// Refuses two reports that would go to standard output, of which `--json` is one.
///
/// # Errors
///
/// Usage.
pub(super) fn require_one_output(context: &Context, options: Vec<&str>) -> Result<(), Failure> {
    let to: Vec<&str> = options.into_iter().chain(context.report.json().then_some("--json")).collect();
    if to.len() < 2 {
        return Ok(());
    }
    let reason = "all of them would go to standard output";
    Err(Failure::usage(to.join(", "), reason).remedy("give all but one a file"))
}

fn written(context: &Context, to: &Destination, text: impl FnOnce() -> Result<String>) -> Result<()> {
    if context.dry_run {
        context.report.say(&format!("would write {to}"));
        return Ok(());
    }
    to.write(&text()?)?;
    if let Some(file) = to.file() {
        context.report.note("Wrote", file.as_str());
    }
    Ok(())
}
