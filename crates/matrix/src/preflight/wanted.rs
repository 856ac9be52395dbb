// SPDX-License-Identifier: GPL-2.0
//! The matrix of new kernels: each has the cells of the one that it comes after.

use camino::Utf8Path;
use report::failure::Failure;

use super::newer::NewKernel;
use crate::kernel_selector::KernelSelector;
use crate::matrix_file::{Inclusion, MatrixFile, Patterns, ProjectEntry, ProjectTable};
use crate::plan::{Plan, PlannedProject};

/// What is wanted of new kernels: of each the projects, with the steps, that the last plan has on
/// the one that it comes after. Rules of `file`, the matrix as it is now, hold for them as well;
/// its kernels do not. Without a file, the projects are those of the plan.
///
/// # Errors
///
/// Never for releases of an archive; refused, if one of them cannot be named.
pub fn wanted(last: &Plan, file: Option<&Utf8Path>, new: &[NewKernel]) -> Result<MatrixFile, Failure> {
    let mut matrix = match file {
        Some(file) => MatrixFile::read(file)?,
        None => MatrixFile { projects: last.projects.iter().map(entry).collect(), ..MatrixFile::default() },
    };
    matrix.kernels.clear();
    matrix.include = new.iter().map(|new| cells(last, new)).collect::<Result<Vec<_>, _>>()?.concat();
    // Rules about other kernels are not idle, but not meant here.
    let meant = |kernels: &Patterns| new.iter().any(|new| kernels.matches(new.release.as_str()));
    matrix.exclude.retain(|rule| meant(&rule.kernels));
    matrix.expect.retain(|rule| meant(&rule.kernels));
    Ok(matrix)
}

/// The cells of a new kernel.
fn cells(last: &Plan, new: &NewKernel) -> Result<Vec<Inclusion>, Failure> {
    let kernel: KernelSelector = new
        .release
        .as_str()
        .parse()
        .map_err(|error| Failure::refused(new.release.as_str(), format!("cannot be named: {error}")))?;
    let before = last.cells.iter().filter(|cell| cell.kernel == new.before && cell.skip.is_none());
    let cell = |cell: &crate::plan::Cell| Inclusion {
        projects: Patterns::exactly(&cell.project),
        kernels: vec![kernel.clone()],
        steps: Some(cell.steps.clone()),
    };
    Ok(before.map(cell).collect())
}

/// A project of a plan, as a file would have it.
fn entry(project: &PlannedProject) -> ProjectEntry {
    ProjectEntry::Table(ProjectTable {
        path: project.dir.clone(),
        name: Some(project.name.clone()),
        set: project.set.clone(),
        packages: project.packages.clone(),
        allow_shell: project.allow_shell,
        needs: project.needs.clone(),
        params: project.params.clone(),
        with: project.with.clone(),
        steps: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Cell, PlannedKernel};
    use crate::step::CellStep;

    fn plan() -> Plan {
        let project = |name: &str| -> PlannedProject {
            let json =
                r#"{"name":"NAME","version":"1","dir":"/p/NAME","sources":"s","rust":false,"set":["A=1"]}"#;
            serde_json::from_str(&json.replace("NAME", name)).unwrap()
        };
        let kernel = |release: &str| -> PlannedKernel {
            let json =
                r#"{"release":"RELEASE","architecture":"amd64","suite":"sid","identity":"1","rust":true}"#;
            serde_json::from_str(&json.replace("RELEASE", release)).unwrap()
        };
        let projects = vec![project("a"), project("b*")];
        let kernels = vec![kernel("7.2.1-amd64"), kernel("7.2.1-rt-amd64")];
        let build = vec![CellStep::Build];
        let cells = vec![
            Cell::new(&projects[0], &kernels[0], vec![CellStep::Build, CellStep::Insmod], Vec::new()),
            Cell::new(&projects[1], &kernels[0], build.clone(), Vec::new()),
            Cell { skip: Some("no".into()), ..Cell::new(&projects[0], &kernels[1], build, Vec::new()) },
        ];
        Plan::new("1", None, projects, kernels, cells)
    }

    fn new(release: &str, before: &str) -> NewKernel {
        let (release, before) = (release.parse().unwrap(), before.parse().unwrap());
        NewKernel { release, before, suite: "sid".into() }
    }

    #[test]
    fn a_new_kernel_has_the_cells_of_the_one_that_it_comes_after() {
        let news = [new("7.2.2-amd64", "7.2.1-amd64"), new("7.2.2-rt-amd64", "7.2.1-rt-amd64")];
        let matrix = wanted(&plan(), None, &news).unwrap();
        assert!(matrix.kernels.is_empty());
        let shown: Vec<String> = matrix
            .include
            .iter()
            .map(|more| format!("{} {} {:?}", more.projects, more.kernels[0], more.steps.as_ref().unwrap()))
            .collect();
        assert_eq!(shown, ["a 7.2.2-amd64 [Build, Insmod]", "b[*] 7.2.2-amd64 [Build]"]);
        assert!(matrix.include[1].projects.matches("b*") && !matrix.include[1].projects.matches("bc"));
        let ProjectEntry::Table(table) = &matrix.projects[0] else { panic!("no table") };
        assert_eq!((table.path.as_str(), table.set.as_slice()), ("/p/a", &["A=1".to_owned()][..]));
    }

    #[test]
    fn rules_of_the_file_hold_where_they_are_about_a_new_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let file = camino::Utf8Path::from_path(dir.path()).unwrap().join("m.toml");
        let text = "projects = [\".\"]\nkernels = [\"newest:2\"]\n\
                    [[exclude]]\nkernels = \"7.2.1-*\"\n[[exclude]]\nkernels = \"7.2.2-*\"\n\
                    [[expect]]\nprojects = \"a\"\nreason = \"known\"\n";
        fs_err::write(&file, text).unwrap();
        let matrix = wanted(&plan(), Some(&file), &[new("7.2.2-amd64", "7.2.1-amd64")]).unwrap();
        assert_eq!((matrix.exclude.len(), matrix.expect.len(), matrix.include.len()), (1, 1, 2));
    }
}
