// SPDX-License-Identifier: GPL-2.0
//! Puts together what came of new kernels, and what has changed in them of what modules use.

use std::collections::HashMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::discover;
use kernel::kdir::Kdir;
use kmodfile::file::ModuleFile;
use kmodfile::module::Module;
use kmodfile::release::Release;

use super::newer::NewKernel;
use super::preflight_report::{PreflightCell, PreflightReport};
use super::symbol_change::{Exported, SymbolChange, changes, exported};
use super::types::KernelTypes;
use crate::cell_result::CellResult;
use crate::plan::{Cell, Plan};
use crate::results::{KeptResults, ResultsDir};
use crate::run::{StopFlag, ToolCall, built_modules};
use crate::step::CellStep;
use crate::summary::{JudgedCell, Summary};

/// A plan and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct PlanResults<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What came of its cells.
    pub kept: &'a KeptResults,
}

/// What is to be said of `new` kernels, whose cells `now` has, and whose predecessors `last` has. A
/// project is built for the predecessor again, unless that is so already: what its modules import
/// is what is compared.
///
/// # Errors
///
/// If the tool cannot be run.
pub fn report(
    context: &Context,
    last: PlanResults<'_>,
    now: PlanResults<'_>,
    new: &[NewKernel],
    results: &ResultsDir,
    stop: &StopFlag,
) -> Result<PreflightReport> {
    let mut comparing = Comparing { context, last, now, results, stop, kernels: HashMap::new() };
    let mut cells = Vec::new();
    for judged in &Summary::of(now.plan, &now.kept.results).cells {
        if let Some(kernel) = new.iter().find(|new| new.release == judged.cell.kernel) {
            cells.push(comparing.cell(judged, kernel)?);
        }
    }
    Ok(PreflightReport { kernels: new.to_vec(), cells })
}

struct Comparing<'a> {
    context: &'a Context,
    last: PlanResults<'a>,
    now: PlanResults<'a>,
    results: &'a ResultsDir,
    stop: &'a StopFlag,
    kernels: HashMap<Release, KernelSide>,
}

/// What is known of a kernel.
struct KernelSide {
    symvers: Result<String, String>,
    types: Result<KernelTypes, String>,
}

impl Comparing<'_> {
    fn cell(&mut self, judged: &JudgedCell<'_>, kernel: &NewKernel) -> Result<PreflightCell> {
        let cell = judged.cell;
        let of_before = |other: &&Cell| other.project == cell.project && other.kernel == kernel.before;
        let before = self.last.plan.cells.iter().find(of_before);
        let failed_before = before
            .and_then(|before| self.last.kept.results.get(&before.id))
            .is_some_and(|result| result.failed().is_some());
        let failed = judged.result.and_then(CellResult::failed);
        let mut told = PreflightCell {
            project: cell.project.clone(),
            kernel: cell.kernel.clone(),
            before: kernel.before.clone(),
            state: judged.state,
            words: judged.words(),
            reason: judged.reason().map(str::to_owned),
            complaint: failed.and_then(|step| step.complaint.clone()),
            again: failed.map(|step| step.again.clone()),
            untried: judged.result.is_none_or(|result| result.unprepared || result.stopped)
                && !judged.state.is_good(),
            failed_before,
            changes: Vec::new(),
            notes: Vec::new(),
        };
        // What takes no kernel uses no symbols of one.
        if let Some(before) = before.filter(|before| before.steps.iter().any(CellStep::needs_kernel)) {
            self.compare(before, kernel, &mut told)?;
        }
        told.put_first_what_failed();
        Ok(told)
    }

    /// Adds what has changed for a project from the kernel of the cell `before` to another one.
    fn compare(&mut self, before: &Cell, kernel: &NewKernel, told: &mut PreflightCell) -> Result<()> {
        let modules = match self.modules(before)? {
            Ok(modules) => modules,
            Err(why) => {
                let note = format!("its symbols were not compared: for {} {why}", kernel.before);
                told.notes.push(note);
                return Ok(());
            }
        };
        for release in [&kernel.before, &kernel.release] {
            if !self.kernels.contains_key(release) {
                self.kernels.insert(release.clone(), KernelSide::open(self.context, release));
            }
        }
        // Two at once are borrowed for their types.
        let Some(mut old) = self.kernels.remove(&kernel.before) else { return Ok(()) };
        if let Some(new) = self.kernels.get_mut(&kernel.release) {
            told.add(&mut old, new, kernel, &modules);
        }
        self.kernels.insert(kernel.before.clone(), old);
        Ok(())
    }

    /// The modules of a cell's project, built for its kernel; or why there are none.
    fn modules(&self, cell: &Cell) -> Result<Result<Vec<Module>, String>> {
        let (project, kernel) = (self.now.plan.project(&cell.project), self.last.plan.kernel(&cell.kernel));
        let Some((project, kernel)) = project.zip(kernel) else {
            return Ok(Err("there is no project of this name now".to_owned()));
        };
        let tool = ToolCall::of(self.context, self.context.jobs);
        let log = self.results.dir().join(format!("built-{}.log", cell.id));
        let files = built_modules(project, kernel, cell, &tool, &log, self.stop)?;
        Ok(files.and_then(|files| read(&files)))
    }
}

fn read(files: &[Utf8PathBuf]) -> Result<Vec<Module>, String> {
    let one = |file: &Utf8PathBuf| {
        let file: &Utf8Path = file;
        ModuleFile::read(file).and_then(|file| file.module()).map_err(|error| error.to_string())
    };
    files.iter().map(one).collect()
}

impl KernelSide {
    /// A prepared kernel; of any other, what its headers say.
    fn open(context: &Context, release: &Release) -> Self {
        let Some(kdir) = Kdir::open(&context.cache, release) else {
            let symvers = discover::named(context, release)
                .and_then(|(archive, kernel)| archive.symvers(&kernel))
                .map_err(|error| format!("what {release} exports is not known: {error}"));
            return Self { symvers, types: Err("it is not prepared".to_owned()) };
        };
        let symvers = fs_err::read_to_string(kdir.build().join("Module.symvers"));
        let symvers = symvers.map_err(|error| format!("what {release} exports is not known: {error}"));
        Self { symvers, types: KernelTypes::open(kdir) }
    }
}

impl PreflightCell {
    fn add(&mut self, old: &mut KernelSide, new: &mut KernelSide, kernel: &NewKernel, modules: &[Module]) {
        let (was, is) = match (&old.symvers, &new.symvers) {
            (Ok(was), Ok(is)) => (exported(was), exported(is)),
            (Err(why), _) | (_, Err(why)) => {
                self.notes.push(format!("its symbols were not compared: {why}"));
                return;
            }
        };
        for module in modules {
            self.changes.extend(changes(module, &was, &is));
        }
        match (&mut old.types, &mut new.types) {
            (Ok(old), Ok(new)) => {
                for module in modules {
                    self.changes.extend(prototypes(module, (&was, old), (&is, new)));
                }
            }
            (Err(why), _) => self.notes.push(not_compared(&kernel.before, why)),
            (_, Err(why)) => self.notes.push(not_compared(&kernel.release, why)),
        }
        // Modules of one project may use the same.
        let mut seen: Vec<SymbolChange> = Vec::new();
        self.changes.retain(|change| {
            let new = !seen.contains(change);
            seen.push(change.clone());
            new
        });
    }
}

fn not_compared(release: &Release, why: &str) -> String {
    format!("prototypes were not compared: the types of {release} are not known, {why}")
}

/// The functions that a module imports whose prototype is another one.
fn prototypes(
    module: &Module,
    (was, old): (&Exported<'_>, &mut KernelTypes),
    (is, new): (&Exported<'_>, &mut KernelTypes),
) -> Vec<SymbolChange> {
    let mut found = Vec::new();
    for symbol in module.imports.iter().map(|import| import.symbol.as_str()) {
        let Some((before, now)) = was.get(symbol).zip(is.get(symbol)) else { continue };
        let before = old.declaration(symbol, before.module);
        let now = new.declaration(symbol, now.module);
        if let Some((before, now)) = before.zip(now).filter(|(before, now)| !before.is_like(now)) {
            let (from, to) = (before.text(symbol), now.text(symbol));
            found.push(SymbolChange::Prototype { symbol: symbol.to_owned(), from, to });
        }
    }
    found
}
