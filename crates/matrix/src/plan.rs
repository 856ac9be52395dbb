// SPDX-License-Identifier: GPL-2.0
//! A plan: the cells of a matrix, for the kernels that there were when it was made.
//!
//! It is complete: whoever has it, and the files that it names, can run any cell of it. A cell is
//! known by the hash of all that its result depends on: a result is that of a cell for ever, and a
//! change of anything makes it another cell.

use std::collections::HashSet;
use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use kmodfile::architecture::Architecture;
use kmodfile::release::Release;
use report::failure::Failure;
use report::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::step::CellStep;

/// The form that a plan's file has.
pub const FORMAT: u32 = 1;

/// Digits of an identifier: enough for the cells of many years.
const DIGITS: usize = 16;

/// The cells of a matrix, and what they are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The hash over all else.
    pub id: PlanId,
    /// The version of the tool that made it.
    pub tool: String,
    /// The file that it was made from, if there was one.
    pub file: Option<Utf8PathBuf>,
    /// The projects, in the order of the file.
    pub projects: Vec<PlannedProject>,
    /// The kernels, newest first.
    pub kernels: Vec<PlannedKernel>,
    /// The cells, by kernel, then by project.
    pub cells: Vec<Cell>,
}

/// Which plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(String);

/// Which cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellId(String);

/// A project of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedProject {
    /// What it is called in this matrix.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its directory, from the root of the file system.
    pub dir: Utf8PathBuf,
    /// The hash over its files, and those of what it needs.
    pub sources: String,
    /// Whether it can only be built for a kernel with Rust.
    pub rust: bool,
    /// Directives with another value, `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    /// Packages that its build needs besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Whether its dkms.conf is evaluated, in a sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_shell: bool,
    /// Directories of projects whose modules it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Utf8PathBuf>,
    /// Parameters that its modules are loaded with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
    /// Files that its test programs need besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Utf8PathBuf>,
}

/// A kernel of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedKernel {
    /// Its release.
    pub release: Release,
    /// The kernel that it stands for and finds faults instead of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<Release>,
    /// What it is for.
    pub architecture: Architecture,
    /// The part of the archive that it is in; none, if it was made here or is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// What is built for: the version of its packages, or the hash of what it was prepared from.
    pub identity: String,
    /// Whether it has Rust.
    pub rust: bool,
}

/// One project on one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The hash of all that its result depends on.
    pub id: CellId,
    /// The name of its project.
    pub project: String,
    /// The release of its kernel.
    pub kernel: Release,
    /// What is done, in this order, until something fails.
    pub steps: Vec<CellStep>,
    /// What its result depends on besides: each with its hash or version.
    pub inputs: Vec<CellInput>,
    /// How it is known to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<KnownFailure>,
    /// Why it is not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
}

/// Something that the result of a cell depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellInput {
    /// What: `kernel 7.2.13+deb14-cloud-amd64`, `project guard`, `file tests/x.sh`.
    pub what: String,
    /// Its hash or version.
    pub identity: String,
}

/// How a cell is known to fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// At this step; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<CellStep>,
    /// With this exit status; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// Why.
    pub reason: String,
}

impl PlannedProject {
    /// A project of which nothing is asked but to be built as it is.
    pub fn plain(name: &str, version: &str, dir: &Utf8Path) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            dir: dir.to_owned(),
            sources: String::new(),
            rust: false,
            set: Vec::new(),
            packages: Vec::new(),
            allow_shell: false,
            needs: Vec::new(),
            params: Vec::new(),
            with: Vec::new(),
        }
    }
}

impl PlannedKernel {
    /// A kernel that is in no archive, and without Rust.
    pub fn plain(release: Release, architecture: Architecture) -> Self {
        let identity = String::new();
        Self { release, stands_for: None, architecture, suite: None, identity, rust: false }
    }
}

impl Cell {
    /// A cell, with the identifier that follows from the rest.
    pub fn new(
        project: &PlannedProject,
        kernel: &PlannedKernel,
        steps: Vec<CellStep>,
        inputs: Vec<CellInput>,
    ) -> Self {
        let print = Fingerprint::new("cell", 1)
            .text("project", &project.name)
            .text("kernel", kernel.release.as_str())
            .list("steps", steps.iter().map(CellStep::to_string));
        let print = inputs.iter().fold(print, |print, input| print.text(&input.what, &input.identity));
        let id = CellId(shortened(print));
        let (project, kernel) = (project.name.clone(), kernel.release.clone());
        Self { id, project, kernel, steps, inputs, expect: None, skip: None }
    }

    /// For people: `guard on 7.2.13+deb14-cloud-amd64`.
    pub fn title(&self) -> String {
        format!("{} on {}", self.project, self.kernel)
    }
}

impl Plan {
    /// A plan, with the identifier that follows from the rest.
    pub fn new(
        tool: &str,
        file: Option<Utf8PathBuf>,
        projects: Vec<PlannedProject>,
        kernels: Vec<PlannedKernel>,
        cells: Vec<Cell>,
    ) -> Self {
        // What is expected is no part of what a cell is, but of what is asked of all.
        let expected = |cell: &Cell| serde_json::to_string(&(&cell.expect, &cell.skip)).expect("plain data");
        let print = Fingerprint::new("plan", 1)
            .list("cells", cells.iter().map(|cell| cell.id.as_str()))
            .list("expected", cells.iter().map(expected));
        let id = PlanId(shortened(print));
        Self { format: FORMAT, id, tool: tool.to_owned(), file, projects, kernels, cells }
    }

    /// Reads the text of a plan.
    ///
    /// # Errors
    ///
    /// Why it is none, or none of this tool.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let not_one = |error: serde_json::Error| format!("is no plan of a matrix: {error}");
        let Format { format } = serde_json::from_str(text).map_err(not_one)?;
        if format != FORMAT {
            return Err(format!("is a plan of form {format}, and this tool reads form {FORMAT}"));
        }
        let plan: Self = serde_json::from_str(text).map_err(not_one)?;
        plan.fault().map_or(Ok(plan), Err)
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    /// Reads a plan's file.
    ///
    /// # Errors
    ///
    /// Missing, or refused with the reason.
    pub fn read(path: &Utf8Path) -> Result<Self, Failure> {
        let text = fs_err::read_to_string(path).map_err(|error| {
            Failure::missing(path.as_str(), format!("cannot be read: {error}"))
                .remedy("cargo kmod matrix plan writes one")
        })?;
        Self::parse(&text).map_err(|reason| {
            Failure::refused(path.as_str(), reason).remedy("make it again: cargo kmod matrix plan")
        })
    }

    /// What is wrong with a plan that somebody has written or changed.
    fn fault(&self) -> Option<String> {
        let projects: HashSet<&str> = self.projects.iter().map(|project| project.name.as_str()).collect();
        let kernels: HashSet<&Release> = self.kernels.iter().map(|kernel| &kernel.release).collect();
        let mut seen = HashSet::new();
        for cell in &self.cells {
            if !projects.contains(cell.project.as_str()) {
                return Some(format!("cell {}: there is no project {}", cell.id, cell.project));
            }
            if !kernels.contains(&cell.kernel) {
                return Some(format!("cell {}: there is no kernel {}", cell.id, cell.kernel));
            }
            if !seen.insert(&cell.id) {
                return Some(format!("cell {} is there twice", cell.id));
            }
        }
        None
    }

    /// The project of this name.
    pub fn project(&self, name: &str) -> Option<&PlannedProject> {
        self.projects.iter().find(|project| project.name == name)
    }

    /// The kernel of this release.
    pub fn kernel(&self, release: &Release) -> Option<&PlannedKernel> {
        self.kernels.iter().find(|kernel| kernel.release == *release)
    }

    /// The cell that an identifier, or its first digits, means.
    ///
    /// # Errors
    ///
    /// Usage, if it means none or several.
    pub fn cell(&self, id: &str) -> Result<&Cell, Failure> {
        let mut found = self.cells.iter().filter(|cell| cell.id.as_str().starts_with(id));
        match (found.next(), found.next()) {
            (Some(cell), None) => Ok(cell),
            (Some(_), Some(_)) => Err(Failure::usage(format!("cell {id}"), "is the beginning of several")),
            (None, _) => {
                let reason = format!("is not in plan {}", self.id);
                Err(Failure::usage(format!("cell {id}"), reason)
                    .remedy("cargo kmod matrix plan lists the cells"))
            }
        }
    }
}

fn shortened(print: Fingerprint) -> String {
    print.hex()[..DIGITS].to_owned()
}

impl PlanId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CellId {
    /// As text: it is safe as the name of a file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for CellId {
    type Error = String;

    /// It becomes the name of a file, so nothing else than digits is taken.
    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain { Ok(Self(text)) } else { Err(format!("{text:?} is no cell's identifier")) }
    }
}

impl From<CellId> for String {
    fn from(id: CellId) -> Self {
        id.0
    }
}
