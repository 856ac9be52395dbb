// SPDX-License-Identifier: GPL-2.0
//! Which cells there are: projects by kernels, more, fewer, and what is expected of them.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use report::failure::Failure;

use super::kernels::FoundKernels;
use super::projects::ReadProject;
use super::sources;
use crate::matrix_file::{Exclusion, Expectation, MatrixFile};
use crate::plan::{Cell, CellInput, KnownFailure, PlannedKernel, PlannedProject};
use crate::step::CellStep;

/// The cells of a plan.
#[derive(Debug, Default)]
pub(super) struct PlannedCells {
    pub(super) cells: Vec<Cell>,
    /// Rules of the file that concern no cell, in words.
    pub(super) idle: Vec<String>,
}

/// One cell in the making.
struct Pair<'a> {
    project: &'a PlannedProject,
    kernel: &'a PlannedKernel,
    steps: &'a [CellStep],
}

/// Makes the cells.
pub(super) fn cells(
    file: &MatrixFile,
    base: &Utf8Path,
    projects: &[ReadProject],
    kernels: &FoundKernels,
    tool: &str,
) -> Result<PlannedCells> {
    let pairs = pairs(file, projects, kernels);
    let mut files = StepFiles { base, hashes: HashMap::new() };
    let mut planned = PlannedCells::default();
    let mut excluded = vec![0_usize; file.exclude.len()];
    let mut expected = vec![0_usize; file.expect.len()];
    for pair in pairs {
        let out = |rule: &Exclusion| {
            rule.projects.matches(&pair.project.name) && rule.kernels.matches(pair.kernel.release.as_str())
        };
        if let Some(number) = file.exclude.iter().position(out) {
            excluded[number] += 1;
            continue;
        }
        let mut cell = cell(&pair, &mut files, tool)?;
        let known = |rule: &Expectation| {
            rule.projects.matches(&cell.project) && rule.kernels.matches(cell.kernel.as_str())
        };
        if let Some(number) = file.expect.iter().position(known) {
            expected[number] += 1;
            cell.expect = Some(known_failure(&file.expect[number], base));
        }
        if pair.project.rust && !pair.kernel.rust {
            cell.skip = Some("it is in Rust, and the kernel is without (CONFIG_RUST is not set)".to_owned());
        }
        planned.cells.push(cell);
    }
    planned.idle = idle(file, &excluded, &expected);
    Ok(planned)
}

fn known_failure(rule: &Expectation, base: &Utf8Path) -> KnownFailure {
    let step = rule.step.as_ref().map(|step| step.within(base));
    KnownFailure { step, status: rule.status, reason: rule.reason.clone() }
}

/// Rules that concern no cell: what they were about may have another name now.
fn idle(file: &MatrixFile, excluded: &[usize], expected: &[usize]) -> Vec<String> {
    let none = |counts: &[usize], kind: &str| -> Vec<String> {
        let idle = counts.iter().enumerate().filter(|(_, count)| **count == 0);
        idle.map(|(number, _)| format!("[[{kind}]] {} is about no cell", number + 1)).collect()
    };
    debug_assert_eq!((excluded.len(), expected.len()), (file.exclude.len(), file.expect.len()));
    [none(excluded, "exclude"), none(expected, "expect")].concat()
}

/// All pairs, by kernel, then by project; one that is included again has the steps of the last.
fn pairs<'a>(file: &'a MatrixFile, projects: &'a [ReadProject], kernels: &'a FoundKernels) -> Vec<Pair<'a>> {
    let mut steps: HashMap<(&str, &str), &[CellStep]> = HashMap::new();
    let usual = |project: &'a ReadProject| project.steps.as_deref().unwrap_or(&file.steps);
    for kernel in kernels.meant(&file.kernels) {
        for project in projects {
            steps.insert((&project.planned.name, kernel.release.as_str()), usual(project));
        }
    }
    for more in &file.include {
        for kernel in kernels.meant(&more.kernels) {
            for project in projects.iter().filter(|project| more.projects.matches(&project.planned.name)) {
                let these = more.steps.as_deref().unwrap_or_else(|| usual(project));
                steps.insert((&project.planned.name, kernel.release.as_str()), these);
            }
        }
    }
    let pair = |kernel: &'a PlannedKernel, project: &'a ReadProject| {
        let steps = steps.get(&(project.planned.name.as_str(), kernel.release.as_str()))?;
        Some(Pair { project: &project.planned, kernel, steps })
    };
    let pair = &pair;
    let all = kernels.all.iter();
    all.flat_map(|kernel| projects.iter().filter_map(move |project| pair(kernel, project))).collect()
}

fn cell(pair: &Pair<'_>, files: &mut StepFiles<'_>, tool: &str) -> Result<Cell> {
    let &Pair { project, kernel, steps } = pair;
    let steps: Vec<CellStep> = steps.iter().map(|step| step.within(files.base)).collect();
    if steps.contains(&CellStep::Deb) {
        return Err(Failure::usage("step \"deb\"", "this version of cargo kmod makes no Debian packages")
            .remedy("leave it out of steps")
            .into());
    }
    let input = |what: String, identity: &str| CellInput { what, identity: identity.to_owned() };
    let mut inputs = vec![
        input(format!("project {}", project.name), &project.sources),
        input(format!("kernel {}", kernel.release), &kernel.identity),
        input("cargo kmod".to_owned(), tool),
    ];
    let given = given(project);
    if !given.is_empty() {
        inputs.push(input("options".to_owned(), &given));
    }
    for file in steps.iter().filter_map(CellStep::file).chain(project.with.iter().map(|file| file.as_path()))
    {
        inputs.push(input(format!("file {file}"), &files.hash(file)?));
    }
    Ok(Cell::new(project, kernel, steps, inputs))
}

/// How the project is built and loaded, as a text that is another one when that is.
fn given(project: &PlannedProject) -> String {
    let PlannedProject { set, packages, allow_shell, params, .. } = project;
    let lists = [("set", set), ("packages", packages), ("params", params)];
    let mut parts: Vec<String> = lists
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name} {}", list.join(" ")))
        .collect();
    parts.extend(allow_shell.then(|| "allow_shell".to_owned()));
    parts.join(", ")
}

/// Files that steps take, each hashed once.
struct StepFiles<'a> {
    base: &'a Utf8Path,
    hashes: HashMap<Utf8PathBuf, String>,
}

impl StepFiles<'_> {
    fn hash(&mut self, file: &Utf8Path) -> Result<String> {
        if let Some(known) = self.hashes.get(file) {
            return Ok(known.clone());
        }
        if !file.is_file() {
            return Err(Failure::missing(file.as_str(), "is named by a step, and is no file").into());
        }
        let hash = sources::file(file).with_context(|| format!("reading {file}"))?;
        self.hashes.insert(file.to_owned(), hash.clone());
        Ok(hash)
    }
}
