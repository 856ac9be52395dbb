// SPDX-License-Identifier: GPL-2.0
//! `matrix run`: many kernels by both vehicles beside one after another, nothing changed, and what
//! the tool itself takes for cells that do nothing.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::bench::Results;
use crate::bench::judgement::LimitCheck;
use crate::bench::scratch::Scratch;
use crate::bench::timing::{Subject, Timing, in_turns, once};
use crate::repository;
use kernel::context::Context;
use kernel::kdir::Kdir;
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use matrix::plan::{Cell, Plan, PlannedKernel, PlannedProject};
use matrix::step::CellStep;
use report::counted;
use report::process::Cmd;

/// Kernels that are tried.
const KERNELS: usize = 15;

/// Cells at once.
const JOBS: &str = "2";

/// What part of one after another all at once may take.
const AT_ONCE: f64 = 0.6;

/// Seconds that a run may take of which nothing changed.
const UNCHANGED: f64 = 1.0;

/// Numbers of cells that do nothing.
const GROWTH: [usize; 4] = [1, 10, 100, 1000];

/// Seconds that the tool itself may take for a cell.
const OWN: f64 = 0.005;

/// MB that it may take for a thousand.
const MEMORY: f64 = 200.0;

/// Measures all of it. The real cells are run once: they take minutes.
pub fn measure(context: &Context, runs: usize) -> Result<Results> {
    let mut results = growth(context, runs)?;
    let kernels = kernels(context);
    if kernels.len() < KERNELS {
        let (there, wanted) =
            [kernels.len(), KERNELS].map(|count| counted(count, "kernel", "kernels")).into();
        let why = format!("needs {wanted} prepared that both vehicles build for, and there are {there}");
        results.judgements.push(LimitCheck::skipped("matrix / one after another", AT_ONCE, why));
        return Ok(results);
    }
    results.extend(real(context, &kernels[..KERNELS], runs)?);
    Ok(results)
}

/// Prepared kernels of the archive that both vehicles build for: they have Rust, and the rebuild
/// has patches for their line.
fn kernels(context: &Context) -> Vec<Release> {
    let patched = |kdir: &Kdir| repository().join("cifs/patches").join(kdir.release().line()).is_dir();
    let mut all = Kdir::all_quietly(&context.cache);
    all.retain(|kdir| {
        let stamp = kdir.stamp();
        Architecture::native() == Some(stamp.architecture) && stamp.origin.is_archive() && stamp.has_rust()
    });
    all.iter().filter(|kdir| patched(kdir)).map(|kdir| kdir.release().clone()).collect()
}

/// Each vehicle booted for each kernel, with what was built; and the first of them, the guard,
/// built from nothing: the other one is compiled for minutes, and compiling keeps all processors
/// busy in either way.
fn real(context: &Context, kernels: &[Release], runs: usize) -> Result<Results> {
    let scratch = Scratch::new(context, "matrix")?;
    let vehicles = [repository(), repository().join("cifs")];
    let cells = counted(kernels.len(), "kernel", "kernels");
    let mut results = Results::default();
    let trial = MatrixTrial { context, kernels, dir: scratch.path(), target: None };
    let both = [
        Subject::new(format!("{cells} × 2 vehicles, one after another"), || {
            trial.one_after_another(&vehicles)
        }),
        Subject::new(format!("{cells} × 2 vehicles, matrix --jobs 2"), || trial.at_once(&vehicles, true)),
        Subject::new(format!("{cells} × 2 vehicles, nothing changed"), || trial.at_once(&vehicles, false)),
    ];
    let both = in_turns(&context.report, runs.min(3), both.into())?;
    results.judgements.push(LimitCheck::ratio(&both[1], &both[0], AT_ONCE));
    results.judgements.push(LimitCheck::seconds(&both[2], UNCHANGED));
    let guard = &vehicles[..1];
    let [apart, together] = ["apart", "together"]
        .map(|name| MatrixTrial { target: Some(scratch.path().join(name)), ..trial.clone() });
    let from_nothing = [
        once(
            &context.report,
            Subject::new(format!("the guard for {cells}, from nothing, one after another"), || {
                apart.one_after_another(guard)
            }),
        )?,
        once(
            &context.report,
            Subject::new(format!("the guard for {cells}, from nothing, matrix --jobs 2"), || {
                together.at_once(guard, true)
            }),
        )?,
    ];
    results.judgements.push(LimitCheck::ratio(&from_nothing[1], &from_nothing[0], AT_ONCE));
    results.timings.extend(both.into_iter().chain(from_nothing));
    Ok(results)
}

/// Kernels by projects, in one way or the other.
#[derive(Clone)]
struct MatrixTrial<'a> {
    context: &'a Context,
    kernels: &'a [Release],
    /// Where results go.
    dir: &'a Utf8Path,
    /// Where what is built goes, if not where it usually does.
    target: Option<Utf8PathBuf>,
}

impl MatrixTrial<'_> {
    /// What a user would do in a loop.
    fn one_after_another(&self, projects: &[Utf8PathBuf]) -> Result<()> {
        for kernel in self.kernels {
            for project in projects {
                let words = ["insmod", "--kernel", kernel.as_str(), "--project", project.as_str()];
                self.cmd(&words).run(&self.context.report)?;
            }
        }
        Ok(())
    }

    fn at_once(&self, projects: &[Utf8PathBuf], again: bool) -> Result<()> {
        let results = self.dir.join(format!("results-{}", projects.len()));
        let mut cmd = self.cmd(&["matrix", "run", "--step", "insmod", "--jobs", JOBS]);
        for project in projects {
            cmd = cmd.args(["--project", project.as_str()]);
        }
        for kernel in self.kernels {
            cmd = cmd.args(["--kernel", kernel.as_str()]);
        }
        cmd = cmd.args(["--results", results.as_str()]);
        let cmd = if again { cmd.arg("--again") } else { cmd };
        cmd.run(&self.context.report).map(drop)
    }

    fn cmd(&self, words: &[&str]) -> Cmd {
        let cmd = Cmd::new(&self.context.program).args(words).cwd(self.dir);
        match &self.target {
            Some(dir) => cmd.args(["--target-dir", dir.as_str()]),
            None => cmd,
        }
    }
}

/// Plans of cells that do nothing.
fn growth(context: &Context, runs: usize) -> Result<Results> {
    let scratch = Scratch::new(context, "matrix")?;
    let (file, dir) = (scratch.path().join("plan.json"), scratch.path().join("results"));
    let mut results = Results::default();
    for count in GROWTH {
        fs_err::write(&file, idle(count, scratch.path())?.text())?;
        let run = Cmd::new(&context.program).args(["matrix", "run", "--jobs", JOBS, "--plan"]).args([
            file.as_str(),
            "--results",
            dir.as_str(),
        ]);
        let subject =
            Subject::new(format!("{count} cells of no work"), || run.run(&context.report).map(drop))
                .before(|| Ok(fs_err::remove_dir_all(&dir).or_else(absent)?));
        let timing = in_turns(&context.report, runs, vec![subject])?.remove(0);
        if count == GROWTH[GROWTH.len() - 1] {
            let each =
                timing.runs.iter().map(|seconds| seconds / f64::from(u32::try_from(count).unwrap_or(1)));
            let each = Timing::new(format!("a cell of {count}"), each.collect());
            results.judgements.push(LimitCheck::seconds(&each, OWN));
            results.judgements.push(LimitCheck::megabytes(
                format!("memory for {count} cells"),
                most_memory(&run, &dir)?,
                MEMORY,
            ));
            results.timings.push(each);
        }
        results.timings.push(timing);
    }
    Ok(results)
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A plan of `count` kernels that nobody has, and one program that does nothing.
fn idle(count: usize, dir: &Utf8Path) -> Result<Plan> {
    let project = PlannedProject::plain("idle", "1", dir);
    let kernel = |number: usize| -> Result<PlannedKernel> {
        let architecture = Architecture::native().unwrap_or_default();
        Ok(PlannedKernel::plain(format!("1.0.{number}").parse()?, architecture))
    };
    let kernels = (0..count).map(kernel).collect::<Result<Vec<_>>>()?;
    let step = CellStep::Run("/bin/true".into());
    let cells = kernels.iter().map(|kernel| Cell::new(&project, kernel, vec![step.clone()], Vec::new()));
    let cells = cells.collect();
    Ok(Plan::new(env!("CARGO_PKG_VERSION"), None, vec![project], kernels, cells))
}

/// MB that the program had at most, as the kernel counted it until shortly before its end.
fn most_memory(cmd: &Cmd, dir: &Utf8Path) -> Result<f64> {
    fs_err::remove_dir_all(dir).or_else(absent)?;
    let mut child = cmd.spawn(Stdio::null(), Stdio::null())?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0_f64;
    while child.try_wait()?.is_none() {
        let text = fs_err::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        most = most.max(kib.unwrap_or_default() * 1024.0 / 1e6);
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(most > 0.0, "the program ended before its memory was looked at");
    Ok(most)
}
