// SPDX-License-Identifier: GPL-2.0
//! Runs one cell: its steps one after another, until something fails.

use std::time::Instant;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use report::failure::Failure;

use super::answer::{self, StepAnswer};
use super::command::{self, CellParts};
use super::options::RunOptions;
use super::program::{self, Ended, StandardOutput};
use super::stop::StopFlag;
use super::tool_call::ToolCall;
use super::unprepared::Unprepared;
use crate::cell_result::{CellResult, StepResult};
use crate::here::{machine, now};
use crate::plan::{Cell, Plan};
use crate::results::ResultsDir;
use crate::step::CellStep;

/// Runs a cell and keeps its result. `at` is told of each step when it begins.
///
/// # Errors
///
/// If the cell is not of the plan, or its result cannot be kept.
pub fn run_cell(
    plan: &Plan,
    cell: &Cell,
    results: &ResultsDir,
    tool: &ToolCall,
    options: &RunOptions,
    stop: &StopFlag,
    at: impl Fn(&CellStep),
) -> Result<CellResult> {
    let claim = results.claim(cell)?;
    if let Some(result) = since_then(results, cell, options) {
        return Ok(result);
    }
    let logs = claim.fresh_logs()?.to_owned();
    let running = Running { parts: parts(plan, cell)?, results, tool, stop, logs };
    let began = Instant::now();
    let mut result = begun(plan, cell, options);
    let mut built = Vec::new();
    for step in &cell.steps {
        if stop.is_set() {
            result.stopped = true;
            break;
        }
        at(step);
        let done = running.step(step, &mut built)?;
        result.stopped = done.stopped;
        let passed = done.result.status == 0;
        result.steps.push(done.result);
        if !passed || result.stopped {
            break;
        }
    }
    result.seconds = began.elapsed().as_secs_f64();
    results.write(&result)?;
    Ok(result)
}

/// What another run has made of the cell while this one waited for it.
fn since_then(results: &ResultsDir, cell: &Cell, options: &RunOptions) -> Option<CellResult> {
    let result = results.read(cell).ok().flatten()?;
    (result.is_final() && !options.again).then_some(result)
}

/// Keeps the result of a cell whose kernel could not be prepared.
pub(super) fn unprepared(
    plan: &Plan,
    cell: &Cell,
    results: &ResultsDir,
    options: &RunOptions,
    why: &Unprepared,
) -> Result<CellResult> {
    let claim = results.claim(cell)?;
    claim.fresh_logs()?;
    let step = StepResult {
        step: cell.steps.first().cloned().unwrap_or(CellStep::Build),
        status: why.status,
        reason: format!("the kernel cannot be prepared: {}", why.reason),
        remedy: why.remedy.clone(),
        trace: None,
        complaint: None,
        seconds: 0.0,
        again: why.again.clone(),
        log: None,
        console: None,
    };
    let result = CellResult { steps: vec![step], unprepared: true, ..begun(plan, cell, options) };
    results.write(&result)?;
    Ok(result)
}

fn begun(plan: &Plan, cell: &Cell, options: &RunOptions) -> CellResult {
    CellResult {
        cell: cell.id.clone(),
        plan: plan.id.clone(),
        project: cell.project.clone(),
        kernel: cell.kernel.clone(),
        steps: Vec::new(),
        stopped: false,
        unprepared: false,
        began: now(),
        seconds: 0.0,
        machine: machine(),
        retries: options.retries,
        tool: plan.tool.clone(),
    }
}

fn parts<'a>(plan: &'a Plan, cell: &'a Cell) -> Result<CellParts<'a>, Failure> {
    let absent =
        |what: &str| Failure::refused(format!("cell {}", cell.id), format!("the plan has no {what}"));
    Ok(CellParts {
        cell,
        project: plan.project(&cell.project).ok_or_else(|| absent(&cell.project))?,
        kernel: plan.kernel(&cell.kernel).ok_or_else(|| absent(cell.kernel.as_str()))?,
    })
}

/// A cell under way.
struct Running<'a> {
    parts: CellParts<'a>,
    results: &'a ResultsDir,
    tool: &'a ToolCall,
    stop: &'a StopFlag,
    logs: Utf8PathBuf,
}

struct StepDone {
    result: StepResult,
    stopped: bool,
}

impl Running<'_> {
    /// Does a step. What a build made is left in `built`.
    fn step(&self, step: &CellStep, built: &mut Vec<Utf8PathBuf>) -> Result<StepDone> {
        if *step == CellStep::Inspect && built.is_empty() {
            // What is inspected has to be there.
            let done = self.step(&CellStep::Build, built)?;
            if done.result.status != 0 || done.stopped {
                return Ok(StepDone { result: StepResult { step: step.clone(), ..done.result }, ..done });
            }
        }
        let words = command::words(self.parts, step, built);
        let cmd = command::command(self.parts, step, &words, self.tool);
        let log = self.logs.join(log_name(step));
        let own = matches!(step, CellStep::Run(_));
        let output = if own { StandardOutput::Logged } else { StandardOutput::Kept };
        let ended = program::run(cmd, output, &log, self.stop)?;
        let answer = if own { said(&log) } else { answer::read(&ended.stdout) };
        if *step == CellStep::Build {
            built.clone_from(&answer.built);
        }
        let again = command::again(self.parts, step, &words);
        Ok(StepDone { stopped: ended.stopped, result: self.result(step, &ended, answer, again, &log)? })
    }

    fn result(
        &self,
        step: &CellStep,
        ended: &Ended,
        answer: StepAnswer,
        again: String,
        log: &Utf8Path,
    ) -> Result<StepResult> {
        let status = ended.code();
        let reason = match (status, ended.signal()) {
            (0, _) => String::new(),
            (_, Some(signal)) => format!("ended by signal {signal}"),
            _ if answer.reason.is_empty() => format!("ended with status {status}"),
            _ => answer.reason,
        };
        let console = match answer.console.filter(|file| file.exists()) {
            Some(file) => Some(self.keep_console(step, &file)?),
            None => None,
        };
        Ok(StepResult {
            step: step.clone(),
            status,
            reason,
            remedy: answer.remedy.filter(|_| status != 0),
            trace: answer.trace,
            complaint: answer.complaint,
            seconds: ended.took.as_secs_f64(),
            again: answer.again.unwrap_or(again),
            log: Some(self.relative(log)),
            console,
        })
    }

    /// What the machine printed, beside the result: the next run writes over it where it is.
    fn keep_console(&self, step: &CellStep, file: &Utf8Path) -> Result<Utf8PathBuf> {
        let name = log_name(step).replace(".log", ".console");
        let place = self.logs.join(name);
        fs_err::copy(file, &place).with_context(|| format!("keeping {file}"))?;
        Ok(self.relative(&place))
    }

    fn relative(&self, file: &Utf8Path) -> Utf8PathBuf {
        file.strip_prefix(self.results.dir()).unwrap_or(file).to_owned()
    }
}

/// What a program of the user's said last is the best that is known of why.
fn said(log: &Utf8Path) -> StepAnswer {
    let text = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    StepAnswer { reason: last.to_owned(), ..StepAnswer::default() }
}

/// `build.log`, `test-smoke.sh.log`.
fn log_name(step: &CellStep) -> String {
    let word = step.to_string();
    let word = word.split(':').next().unwrap_or_default();
    match step.file().and_then(Utf8Path::file_name) {
        Some(file) => format!("{word}-{file}.log"),
        None => format!("{word}.log"),
    }
}
