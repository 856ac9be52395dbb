// SPDX-License-Identifier: GPL-2.0
//! `cargo kmod matrix plan`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use kernel::context::Context;
use matrix::plan::{Cell, Plan};
use matrix::step::CellStep;
use report::destination::Destination;
use report::{counted, table};

use super::wanted::WantedArgs;

/// `cargo kmod matrix plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What is wanted.
    #[command(flatten)]
    pub wanted: WantedArgs,
    /// Write the plan to this file, or standard output (-): what run, submit and ci take
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<Destination>,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &PlanArgs) -> Result<()> {
    let plan = args.wanted.plan(context)?;
    if let Some(to) = &args.output {
        match to.file() {
            Some(file) if context.dry_run => context.report.say(&format!("would write {file}")),
            _ => to.write(&plan.text())?,
        }
    }
    context.report.data(&plan);
    if args.output != Some(Destination::Output) {
        context.report.say(&shown(&plan));
    }
    Ok(())
}

/// For people: a row a cell.
pub(super) fn shown(plan: &Plan) -> String {
    let head = ["CELL", "PROJECT", "KERNEL", "STEPS", "NOTE"].map(str::to_owned).to_vec();
    let rows = plan.cells.iter().map(row);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let mut by_kernel: BTreeMap<&str, usize> = BTreeMap::new();
    plan.cells.iter().for_each(|cell| *by_kernel.entry(cell.kernel.as_str()).or_default() += 1);
    let cells = counted(plan.cells.len(), "cell", "cells");
    let kernels = counted(by_kernel.len(), "kernel", "kernels");
    format!("{}\n\nPlan {}: {cells} on {kernels}.", table(&rows), plan.id)
}

fn row(cell: &Cell) -> Vec<String> {
    let steps: Vec<String> = cell.steps.iter().map(CellStep::to_string).collect();
    let known = || Some(format!("known to fail: {}", cell.expect.as_ref()?.reason));
    let skipped = cell.skip.as_ref().map(|why| format!("skipped: {why}"));
    let note = skipped.or_else(known).unwrap_or_default();
    vec![cell.id.to_string(), cell.project.clone(), cell.kernel.to_string(), steps.join(" "), note]
}
