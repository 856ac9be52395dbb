// SPDX-License-Identifier: GPL-2.0
//! All cells of a plan on this machine: as many at once as processors and memory allow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;
use kernel::context::{Context, processors};
use kernel::kdir::Kdir;
use kmodfile::release::Release;
use report::{ProgressUnit, Step, seconds};

use super::answer;
use super::board::{Board, Job, KernelState, Next, WaitingCell};
use super::cell::{run_cell, unprepared};
use super::command::call;
use super::memory::{self, needed};
use super::options::RunOptions;
use super::program::{self, StandardOutput};
use super::stop::StopFlag;
use super::tool_call::ToolCall;
use super::unprepared::Unprepared;
use crate::cell_result::{CellResult, SKIPPED, status_word};
use crate::plan::{Cell, Plan, PlannedKernel};
use crate::results::ResultsDir;
use crate::step::CellStep;

/// How often somebody who waits looks whether the run is to end.
const CHECKED: Duration = Duration::from_millis(200);

/// MiB that are left to everybody else.
const RESERVE: u64 = 300;

/// So many processors one kernel keeps busy that is prepared.
const BUSY: usize = 2;

/// Kernels that are prepared at the same time, at most.
const AT_ONCE: usize = 3;

/// How many cells were run, and how many had their results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Cells that were run, with a result.
    pub ran: usize,
    /// Cells whose inputs have not changed since they had their result.
    pub fresh: usize,
    /// Cells that were left, as the run was ended.
    pub left: usize,
}

/// Runs the cells that are meant and have no result that lasts. What becomes of one does not touch
/// the others; when `stop` is set, what is done is kept.
///
/// # Errors
///
/// The first that a result could not be kept; what a cell comes to is none.
pub fn run(
    context: &Context,
    plan: &Plan,
    results: &ResultsDir,
    options: &RunOptions,
    stop: &StopFlag,
) -> Result<RunCounts> {
    let meant: Vec<&Cell> = options.cells(plan).into_iter().filter(|cell| cell.skip.is_none()).collect();
    let wanted: Vec<&Cell> = meant.iter().copied().filter(|cell| is_wanted(results, cell, options)).collect();
    let fresh = meant.len() - wanted.len();
    if wanted.is_empty() {
        return Ok(RunCounts { fresh, ..RunCounts::default() });
    }
    let jobs = options.processors.unwrap_or(context.jobs);
    let workers = jobs.min(wanted.len()).max(1);
    let crew = Crew::new(context, plan, results, options, stop, &wanted, workers);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| crew.work());
        }
    });
    let ran = crew.finish()?;
    Ok(RunCounts { ran, fresh, left: wanted.len() - ran })
}

fn is_wanted(results: &ResultsDir, cell: &Cell, options: &RunOptions) -> bool {
    options.again || !results.read(cell).is_ok_and(|result| result.is_some_and(|result| result.is_final()))
}

/// Those who run cells, and what they share.
struct Crew<'a> {
    context: &'a Context,
    plan: &'a Plan,
    results: &'a ResultsDir,
    options: &'a RunOptions,
    stop: &'a StopFlag,
    tool: ToolCall,
    workers: usize,
    cells: &'a [&'a Cell],
    step: Step<'a>,
    shared: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    board: Board,
    ended: usize,
    bad: usize,
    /// Seconds that the cells took which have ended.
    spent: f64,
    first_error: Option<anyhow::Error>,
}

impl<'a> Crew<'a> {
    fn new(
        context: &'a Context,
        plan: &'a Plan,
        results: &'a ResultsDir,
        options: &'a RunOptions,
        stop: &'a StopFlag,
        cells: &'a [&'a Cell],
        workers: usize,
    ) -> Self {
        let title = report::counted(cells.len(), "cell", "cells");
        let step = context.report.step("Trying", &format!("{title} of plan {}", plan.id));
        step.count(ProgressUnit::Things("cell", "cells"), u64::try_from(cells.len()).unwrap_or(u64::MAX));
        // What one cell has for itself: together they keep all processors busy.
        let all = options.processors.unwrap_or_else(|| processors().max(context.jobs));
        let jobs = (all / workers).max(1);
        let shared =
            Shared { board: board(context, plan, cells), ended: 0, bad: 0, spent: 0.0, first_error: None };
        Self {
            context,
            plan,
            results,
            options,
            stop,
            tool: ToolCall::of(context, jobs),
            workers,
            cells,
            step,
            shared: Mutex::new(shared),
            changed: Condvar::new(),
        }
    }

    /// What one of them does until there is nothing left.
    fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Prepare(release) => {
                    let prepared = self.prepare(&release);
                    self.shared().board.prepared(release, prepared);
                }
                Job::Run(cell) => {
                    let result = self.run_one(self.cells[cell.number]);
                    self.ended(&cell, result);
                }
                Job::GiveUp(cell, why) => {
                    let this = self.cells[cell.number];
                    let result = unprepared(self.plan, this, self.results, self.options, &why);
                    self.ended(&cell, result);
                }
            }
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut shared = self.shared();
        loop {
            if self.stop.is_set() || shared.first_error.is_some() {
                return None;
            }
            match shared.board.next() {
                Next::Job(job) => return Some(job),
                Next::Over => return None,
                Next::Wait => {
                    let waited = self.changed.wait_timeout(shared, CHECKED);
                    shared = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn run_one(&self, cell: &Cell) -> Result<CellResult> {
        let shown = self.context.report.beside("Running", &cell.title());
        let at = |step: &CellStep| {
            if let Some(shown) = &shown {
                let word = step.to_string();
                shown.tell(move || word.clone());
            }
        };
        run_cell(self.plan, cell, self.results, &self.tool, self.options, self.stop, at)
    }

    /// Keeps count of a cell that has ended, and says what came of it.
    fn ended(&self, cell: &WaitingCell, result: Result<CellResult>) {
        let mut shared = self.shared();
        shared.board.ended(cell);
        shared.ended += 1;
        match result {
            Ok(result) => {
                shared.spent += result.seconds;
                shared.bad += usize::from(result.failed().is_some());
                self.say(self.cells[cell.number], &result);
            }
            Err(error) => drop(shared.first_error.get_or_insert(error)),
        }
        self.step.reach(u64::try_from(shared.ended).unwrap_or(u64::MAX));
        let failed = shared.bad;
        let left = left(shared.spent, shared.ended, self.cells.len(), self.workers);
        let since = Instant::now();
        self.step.tell(move || far(failed, left.and_then(|left| left.checked_sub(since.elapsed()))));
    }

    fn say(&self, cell: &Cell, result: &CellResult) {
        let took = seconds(Duration::from_secs_f64(result.seconds));
        let (verb, what) = match (result.failed(), &cell.expect) {
            _ if result.stopped => ("Stopped", cell.title()),
            (None, _) if result.status() == SKIPPED => {
                let reason = result.steps.last().map(|step| step.reason.as_str()).unwrap_or_default();
                ("Skipped", format!("{}: {reason}", cell.title()))
            }
            (None, None) => ("Passed", cell.title()),
            (None, Some(_)) => ("Passes now", format!("{}, said to be known to fail", cell.title())),
            (Some(step), known) => {
                let verb = if known.is_some() { "Failed as known" } else { "Failed" };
                let word = status_word(step.status);
                (verb, format!("{}: {} {word}: {}", cell.title(), step.step, step.reason))
            }
        };
        self.context.report.note(verb, &format!("{what} in {took}"));
    }

    fn prepare(&self, release: &Release) -> Result<(), Unprepared> {
        let shown = self.context.report.step("Preparing", &format!("kernel {release}"));
        let words = words_to_prepare(self.plan, release);
        let jobs = self.options.processors.unwrap_or_else(processors);
        let tool = ToolCall { jobs, ..self.tool.clone() };
        let log = self.results.dir().join(format!("prepare-{release}.log"));
        let said = log.clone();
        shown.tell(move || last_line(&said));
        let ended = program::run(call(&tool).args(&words), StandardOutput::Kept, &log, self.stop);
        let again = format!("cargo kmod {}", words.join(" "));
        let failed = |status: u8, reason: String, remedy: Option<String>| {
            Err(Unprepared { status, reason, remedy, again: again.clone() })
        };
        match ended {
            Ok(ended) if ended.code() == 0 => {
                shown.done("Prepared", &format!("kernel {release}"));
                fs_err::remove_file(&log).ok();
                Ok(())
            }
            Ok(ended) => {
                let answer = answer::read(&ended.stdout);
                let reason = if answer.reason.is_empty() { format!("see {log}") } else { answer.reason };
                self.context.report.warn(&format!("kernel {release} cannot be prepared: {reason}"));
                failed(ended.code(), reason, answer.remedy)
            }
            Err(error) => failed(1, format!("{error:#}"), None),
        }
    }

    fn finish(self) -> Result<usize> {
        let shared = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let counted = report::counted(shared.ended, "cell", "cells");
        let verb = if self.stop.is_set() { "Stopped" } else { "Tried" };
        self.step.done(verb, &counted);
        shared.first_error.map_or(Ok(shared.ended), Err)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last line of a log.
fn last_line(log: &Utf8Path) -> String {
    let text = fs_err::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next_back().unwrap_or_default().trim().to_owned()
}

/// How far it is, beside the count: what failed, and how long it will go on.
fn far(failed: usize, left: Option<Duration>) -> String {
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if let Some(left) = left {
        let left = left.as_secs() + 1;
        let time = if left < 60 { format!("{left} s") } else { format!("{} min", left.div_ceil(60)) };
        parts.push(format!("about {time} left"));
    }
    parts.join(", ")
}

/// The time that is left, if the cells to come take as long as those before.
fn left(spent: f64, ended: usize, all: usize, workers: usize) -> Option<Duration> {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let to_come = all.checked_sub(ended).filter(|to_come| *to_come > 0 && ended > 0)?;
    let seconds = spent / number(ended) * number(to_come) / number(workers.min(to_come));
    Duration::try_from_secs_f64(seconds).ok()
}

fn board(context: &Context, plan: &Plan, cells: &[&Cell]) -> Board {
    let known: HashMap<&Release, &PlannedKernel> =
        plan.kernels.iter().map(|kernel| (&kernel.release, kernel)).collect();
    let waiting = cells.iter().enumerate().map(|(number, cell)| WaitingCell {
        number,
        kernel: cell.kernel.clone(),
        memory: needed(cell, known.get(&cell.kernel).copied()),
    });
    let mut by_kernel: HashMap<&Release, Vec<&Cell>> = HashMap::new();
    cells.iter().for_each(|cell| by_kernel.entry(&cell.kernel).or_default().push(cell));
    let kernels = plan.kernels.iter().filter_map(|kernel| {
        let here = by_kernel.get(&kernel.release)?;
        Some((kernel.release.clone(), state(context, plan, kernel, here)))
    });
    let kernels: BTreeMap<Release, KernelState> = kernels.collect();
    let at_once = (context.jobs / BUSY).clamp(1, AT_ONCE);
    let memory = memory::available().saturating_sub(RESERVE);
    Board::new(waiting.collect(), kernels, memory, at_once, memory::PREPARING)
}

/// The command that prepares a kernel: one without Rust for modules in C.
fn words_to_prepare<'a>(plan: &Plan, release: &'a Release) -> Vec<&'a str> {
    let words = ["kernel", "prepare", release.as_str()].into_iter();
    let rust = plan.kernel(release).is_none_or(|kernel| kernel.rust || kernel.stands_for.is_some());
    words.chain((!rust).then_some("--for-c")).collect()
}

/// Whether a kernel is ready for these cells.
fn state(context: &Context, plan: &Plan, kernel: &PlannedKernel, cells: &[&Cell]) -> KernelState {
    let built_for = cells.iter().any(|cell| cell.steps.iter().any(CellStep::needs_kernel));
    // What was made here, or is installed, is there or cannot be had.
    let of_archive = kernel.suite.is_some();
    if !built_for || !of_archive {
        return KernelState::Ready;
    }
    let projects: BTreeSet<&str> = cells.iter().map(|cell| cell.project.as_str()).collect();
    let rust = projects.iter().any(|name| plan.project(name).is_some_and(|project| project.rust));
    let is_enough = |kdir: Kdir| !rust || kdir.stamp().has_rust();
    let ready = Kdir::open(&context.cache, &kernel.release).is_some_and(is_enough);
    if ready { KernelState::Ready } else { KernelState::Waiting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_and_what_is_left_are_said() {
        assert_eq!(far(0, None), "");
        assert_eq!(far(2, Some(Duration::from_millis(58_200))), "2 failed, about 59 s left");
        assert_eq!(far(0, Some(Duration::from_secs(121))), "about 3 min left");
    }

    #[test]
    fn the_time_left_follows_from_the_cells_before() {
        assert_eq!(left(0.0, 0, 10, 2), None);
        assert_eq!(left(40.0, 4, 10, 2), Some(Duration::from_secs(30)));
        // The last one has a processor for itself, and cannot be shared.
        assert_eq!(left(90.0, 9, 10, 2), Some(Duration::from_secs(10)));
        assert_eq!(left(100.0, 10, 10, 2), None);
    }
}
