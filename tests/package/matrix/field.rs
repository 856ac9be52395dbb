// SPDX-License-Identifier: GPL-2.0
//! A directory with projects and a matrix of them, and what is asked of its results.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use matrix::cell_result::CellResult;
use matrix::plan::{CellId, Plan};
use matrix::results::ResultsDir;
use matrix::summary::{CellState, Summary};
use report::process::Cmd;

use crate::suite::{Suite, run, scratch, tool};

/// Projects of one machine, and their matrix.
pub(super) struct Field {
    _dir: tempfile::TempDir,
    pub(super) dir: Utf8PathBuf,
    release: String,
}

impl Field {
    /// Without projects, for the default kernel.
    pub(super) fn new(suite: &Suite) -> Self {
        let (guard, dir) = scratch();
        let dir = dir.canonicalize_utf8().unwrap();
        Self { _dir: guard, dir, release: suite.prepared().kdir.release().to_string() }
    }

    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// Adds a project, a module in C.
    pub(super) fn project(self, name: &str) -> Self {
        self.module(name, &format!("{MODULE_HEAD}MODULE_DESCRIPTION(\"{name}\");\n"))
    }

    /// Adds a project of this source.
    pub(super) fn module(self, name: &str, source: &str) -> Self {
        let dir = self.dir.join(name);
        fs_err::create_dir_all(&dir).unwrap();
        fs_err::write(dir.join("Kbuild"), format!("obj-m := {name}.o\n")).unwrap();
        fs_err::write(dir.join(format!("{name}.c")), source).unwrap();
        let conf = format!("PACKAGE_NAME={name}\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME={name}\n");
        fs_err::write(dir.join("dkms.conf"), conf).unwrap();
        self
    }

    /// Adds a program for `run:`.
    pub(super) fn program(self, name: &str, script: &str) -> Self {
        let file = self.dir.join(name);
        fs_err::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Writes the matrix of all projects on the default kernel.
    pub(super) fn matrix(self, projects: &[&str], rest: &str) -> Self {
        let release = self.release.clone();
        self.matrix_on(projects, &[&release], rest)
    }

    /// Writes the matrix of these projects on these kernels.
    pub(super) fn matrix_on(self, projects: &[&str], kernels: &[&str], rest: &str) -> Self {
        let text = format!("projects = {projects:?}\nkernels = {kernels:?}\n{rest}\n");
        fs_err::write(self.file(), text).unwrap();
        self
    }

    pub(super) fn file(&self) -> Utf8PathBuf {
        self.dir.join("matrix.toml")
    }

    /// `matrix` with these words, in the directory.
    pub(super) fn cmd(&self, words: &[&str]) -> Cmd {
        tool(&["matrix"]).args(words).cwd(self.dir.clone()).env("CARGO_TARGET_DIR", "")
    }

    /// Runs the matrix; gives exit status and what was said.
    pub(super) fn run(&self, words: &[&str]) -> (i32, String) {
        let results = self.results_dir();
        run(&self.cmd(&["run", "matrix.toml", "--results", results.as_str()]).args(words))
    }

    /// The plan that there is now.
    pub(super) fn plan(&self) -> Plan {
        let file = self.dir.join("plan.json");
        let (status, said) = run(&self.cmd(&["plan", "matrix.toml", "--output", file.as_str()]));
        assert_eq!(status, 0, "{said}");
        Plan::read(&file).unwrap()
    }

    pub(super) fn results_dir(&self) -> Utf8PathBuf {
        self.dir.join("results")
    }

    /// What came of the plan that was run last.
    pub(super) fn kept(&self) -> Kept {
        Kept::in_dir(&self.results_dir())
    }
}

/// What a directory of results has.
pub(super) struct Kept {
    pub(super) plan: Plan,
    pub(super) results: BTreeMap<CellId, CellResult>,
    pub(super) faults: Vec<String>,
}

impl Kept {
    pub(super) fn in_dir(dir: &Utf8Path) -> Self {
        let (results, plan) = ResultsDir::open(dir).unwrap();
        let kept = results.read_all(&plan);
        Self { plan, results: kept.results, faults: kept.faults }
    }

    /// The state of each project's cell.
    pub(super) fn states(&self) -> BTreeMap<String, CellState> {
        let summary = Summary::of(&self.plan, &self.results);
        summary.cells.iter().map(|cell| (cell.cell.project.clone(), cell.state)).collect()
    }

    /// The result of a project's cell.
    pub(super) fn of(&self, project: &str) -> &CellResult {
        self.results.values().find(|result| result.project == project).unwrap()
    }
}

/// What each module begins with.
pub(super) const MODULE_HEAD: &str =
    "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n";
