// SPDX-License-Identifier: GPL-2.0
//! The projects of a matrix: read, and in an order in which none needs a later one.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use kernel::context::Context;
use kernel::prepare::Rust;
use project::needs::NeededProjects;
use project::{Opened, Project, Settings};
use report::failure::Failure;
use report::fingerprint::Fingerprint;

use super::sources;
use crate::matrix_file::{MatrixFile, ProjectTable};
use crate::plan::PlannedProject;
use crate::step::CellStep;

/// A project of the file.
#[derive(Clone, Debug)]
pub(super) struct ReadProject {
    /// What of it is in the plan.
    pub(super) planned: PlannedProject,
    /// What is done with it, if that differs.
    pub(super) steps: Option<Vec<CellStep>>,
}

/// Reads all projects of `file`, whose paths are from `base`.
pub(super) fn read(context: &Context, file: &MatrixFile, base: &Utf8Path) -> Result<Vec<ReadProject>> {
    let tables: Vec<ProjectTable> = file.projects.iter().map(|entry| entry.table()).collect();
    let places = tables.iter().map(|table| place(base, &table.path)).collect::<Result<Vec<_>>>()?;
    let needs = tables.iter().map(|table| table.needs.iter().map(|dir| place(base, dir)).collect());
    let needs = needs.collect::<Result<Vec<Vec<Utf8PathBuf>>>>()?;
    require_no_circle(&places, &needs)?;
    let mut all: Vec<ReadProject> = Vec::new();
    for ((table, dir), needs) in tables.iter().zip(&places).zip(&needs) {
        let project = read_one(context, base, table, dir, needs)?;
        if let Some(other) = all.iter().find(|other| other.planned.name == project.planned.name) {
            let (name, reason) = (&project.planned.name, format!("is called as {} is", other.planned.dir));
            return Err(Failure::usage(dir.as_str(), reason)
                .remedy(format!("name one of them otherwise: {{ path = …, name = \"{name}-2\" }}"))
                .into());
        }
        all.push(project);
    }
    Ok(all)
}

fn place(base: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let dir = base.join(path);
    if !dir.is_dir() {
        return Err(Failure::missing(dir.as_str(), "there is no such directory").into());
    }
    dir.canonicalize_utf8().with_context(|| format!("looking for {dir}"))
}

fn read_one(
    context: &Context,
    base: &Utf8Path,
    table: &ProjectTable,
    dir: &Utf8Path,
    needs: &[Utf8PathBuf],
) -> Result<ReadProject> {
    let opened = opened(dir, table)?;
    let usual = || dir.file_name().unwrap_or("project").to_owned();
    let (name, version, rust) = match &opened {
        Opened::Project(project) => (project.name.clone(), project.version.clone(), project.rust()),
        Opened::Program { .. } => (usual(), String::new(), Rust::Optional),
    };
    let with = table.with.iter().map(|file| base.join(file)).collect();
    let planned = PlannedProject {
        name: table.name.clone().unwrap_or(name),
        version,
        dir: dir.to_owned(),
        sources: hash(context, &opened, needs)?,
        rust: rust == Rust::Needed,
        set: table.set.clone(),
        packages: table.packages.clone(),
        allow_shell: table.allow_shell,
        needs: needs.to_vec(),
        params: table.params.clone(),
        with,
    };
    if let Opened::Project(project) = &opened {
        project.warn(&context.report);
    }
    Ok(ReadProject { planned, steps: table.steps.clone() })
}

fn opened(dir: &Utf8Path, table: &ProjectTable) -> Result<Opened> {
    let settings = table.set.iter().map(|text| {
        let reason = || Failure::usage(format!("set = {text:?}"), "is not NAME=VALUE");
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(reason)
    });
    let settings = settings.collect::<Result<Settings, Failure>>()?;
    match Project::open_any(dir, &settings)? {
        Opened::Program { mut failure, .. } if !table.allow_shell => {
            failure.remedy = Some(format!("{{ path = \"{}\", allow_shell = true }}", table.path));
            Err(failure.into())
        }
        opened => Ok(opened),
    }
}

/// The hash over a project and those that it needs, the ones included that BUILD_DEPENDS names.
fn hash(context: &Context, opened: &Opened, needs: &[Utf8PathBuf]) -> Result<String> {
    let print = Fingerprint::new("planned project", 1).text("own", &sources::hash(opened)?);
    // What a program needs is known once there is a kernel.
    let Opened::Project(project) = opened else { return Ok(print.hex()) };
    let needed = NeededProjects::of(project, needs)?;
    needed.notices.iter().for_each(|notice| context.report.warn_once(notice));
    let print = needed.projects.into_iter().try_fold(print, |print, needed| -> Result<_> {
        Ok(print.text(&needed.name.clone(), &sources::hash(&Opened::Project(Box::new(needed)))?))
    })?;
    Ok(print.hex())
}

/// Refuses projects that need each other in a circle.
fn require_no_circle(places: &[Utf8PathBuf], needs: &[Vec<Utf8PathBuf>]) -> Result<(), Failure> {
    let all: BTreeMap<&Utf8Path, &[Utf8PathBuf]> =
        places.iter().zip(needs).map(|(place, needs)| (place.as_path(), needs.as_slice())).collect();
    let circle = places.iter().find_map(|place| circle_at(&all, place));
    let Some(circle) = circle else { return Ok(()) };
    let reason = format!("need each other in a circle: {}", circle.join(" needs "));
    Err(Failure::refused("projects", reason).remedy("take one of them out of `needs`"))
}

/// The way from `start` over what it needs back to it.
fn circle_at(all: &BTreeMap<&Utf8Path, &[Utf8PathBuf]>, start: &Utf8Path) -> Option<Vec<String>> {
    let mut ways = vec![vec![start]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        for next in all.get(last).copied().unwrap_or_default() {
            let mut longer = way.clone();
            longer.push(next);
            if next == start {
                return Some(longer.into_iter().map(|dir| dir.to_string()).collect());
            }
            if seen.insert(next) {
                ways.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_and_named() {
        let check = |all: &[(&str, &[&str])]| {
            let places: Vec<Utf8PathBuf> = all.iter().map(|(place, _)| (*place).into()).collect();
            let needs: Vec<Vec<Utf8PathBuf>> =
                all.iter().map(|(_, needs)| needs.iter().map(|dir| (*dir).into()).collect()).collect();
            require_no_circle(&places, &needs).map_err(|failure| failure.reason)
        };
        check(&[("/a", &["/b"]), ("/b", &["/c"]), ("/c", &[])]).unwrap();
        check(&[("/a", &["/b", "/c"]), ("/b", &["/c"]), ("/c", &["/elsewhere"])]).unwrap();
        let said = check(&[("/x", &[]), ("/a", &["/b"]), ("/b", &["/c"]), ("/c", &["/a"])]).unwrap_err();
        assert_eq!(said, "need each other in a circle: /a needs /b needs /c needs /a");
        assert!(check(&[("/a", &["/a"])]).unwrap_err().ends_with("/a needs /a"));
    }
}
