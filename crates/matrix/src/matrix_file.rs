// SPDX-License-Identifier: GPL-2.0
//! `matrix.toml`: what is to be tried on which kernels, as its author writes it.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use glob::Pattern;
use report::failure::Failure;
use serde::Deserialize;

use crate::kernel_selector::KernelSelector;
use crate::step::CellStep;

/// The name of the file where none is given.
pub const USUAL_NAME: &str = "matrix.toml";

/// What the file says. Unknown keys are refused.
///
/// ```
/// use matrix::matrix_file::MatrixFile;
///
/// let file = MatrixFile::parse(r#"
///     projects = ["."]
///     kernels = ["newest:3", "6.12.*-cloud-* newest:1"]
///     steps = ["build", "insmod"]
///
///     [[expect]]
///     kernels = "6.12.*"
///     step = "build"
///     reason = "needs folios of 6.16"
/// "#).unwrap();
/// assert_eq!((file.projects.len(), file.kernels.len(), file.steps.len()), (1, 2, 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixFile {
    /// The projects.
    #[serde(default)]
    pub projects: Vec<ProjectEntry>,
    /// The kernels; each project is tried on all of them.
    #[serde(default)]
    pub kernels: Vec<KernelSelector>,
    /// What is done in each cell, in this order, until something fails.
    #[serde(default = "usual_steps")]
    pub steps: Vec<CellStep>,
    /// More cells.
    #[serde(default)]
    pub include: Vec<Inclusion>,
    /// Cells that are left out.
    #[serde(default)]
    pub exclude: Vec<Exclusion>,
    /// Cells that are known to fail.
    #[serde(default)]
    pub expect: Vec<Expectation>,
}

fn usual_steps() -> Vec<CellStep> {
    vec![CellStep::Build, CellStep::Insmod]
}

/// A project: its directory, or a table with that as `path`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ProjectEntry {
    /// A directory, from that of the file.
    Path(Utf8PathBuf),
    /// A directory, and how the project in it is built.
    Table(ProjectTable),
}

/// A project and how it is built.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectTable {
    /// Its directory, from that of the file.
    pub path: Utf8PathBuf,
    /// What it is called here [default: its own name].
    pub name: Option<String>,
    /// Directives of dkms.conf that have another value, `NAME=VALUE`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Packages of the kernel's distribution that its build needs besides.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Whether a dkms.conf that is a program is evaluated, in a sandbox.
    #[serde(default)]
    pub allow_shell: bool,
    /// Directories of projects whose modules it uses.
    #[serde(default)]
    pub needs: Vec<Utf8PathBuf>,
    /// Parameters that its modules are loaded with, `NAME=VALUE`.
    #[serde(default)]
    pub params: Vec<String>,
    /// Files that its test programs need besides.
    #[serde(default)]
    pub with: Vec<Utf8PathBuf>,
    /// What is done with it, instead of what is done with all.
    pub steps: Option<Vec<CellStep>>,
}

impl ProjectEntry {
    /// As a table.
    pub fn table(&self) -> ProjectTable {
        match self {
            Self::Path(path) => ProjectTable { path: path.clone(), ..ProjectTable::default() },
            Self::Table(table) => table.clone(),
        }
    }
}

/// One pattern or several, over names of projects or releases of kernels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct Patterns(Vec<Pattern>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for Patterns {
    type Error = String;

    fn try_from(texts: OneOrMore) -> Result<Self, String> {
        let texts = match texts {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        };
        let one = |text: &String| Pattern::new(text).map_err(|error| format!("{text:?}: {}", error.msg));
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl Patterns {
    /// A pattern that this text alone matches.
    pub fn exactly(text: &str) -> Self {
        Self(vec![Pattern::new(&Pattern::escape(text)).expect("nothing in it is a pattern")])
    }

    /// Whether one of them matches; with none, anything does.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(Pattern::as_str).collect();
        f.write_str(&texts.join(", "))
    }
}

/// More cells: these projects on these kernels.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// Which of the projects, by name [default: all].
    #[serde(default)]
    pub projects: Patterns,
    /// The kernels.
    pub kernels: Vec<KernelSelector>,
    /// What is done [default: as everywhere].
    pub steps: Option<Vec<CellStep>>,
}

/// Cells that are left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Which of the projects, by name [default: all].
    #[serde(default)]
    pub projects: Patterns,
    /// On which kernels, by release [default: all].
    #[serde(default)]
    pub kernels: Patterns,
    /// Why, for whoever reads the file.
    pub reason: Option<String>,
}

/// Cells that are known to fail. One that passes fails the matrix: the entry is to go.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Which of the projects, by name [default: all].
    #[serde(default)]
    pub projects: Patterns,
    /// On which kernels, by release [default: all].
    #[serde(default)]
    pub kernels: Patterns,
    /// The step that fails [default: any].
    pub step: Option<CellStep>,
    /// The exit status that it fails with [default: any].
    pub status: Option<u8>,
    /// Why.
    pub reason: String,
}

impl MatrixFile {
    /// Without a file: the project here, on the newest kernel.
    pub fn by_default() -> Self {
        Self::parse("projects = [\".\"]\nkernels = [\"newest:1\"]\n").expect("is right")
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// Why it is none, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        file.complaint().map_or(Ok(file), Err)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Missing, if there is none; usage, with the line, if it makes no sense.
    pub fn read(path: &Utf8Path) -> Result<Self, Failure> {
        let text = fs_err::read_to_string(path).map_err(|error| {
            Failure::missing(path.as_str(), format!("cannot be read: {error}"))
                .remedy("name the file, or give --project and --kernel instead of one")
        })?;
        Self::parse(&text).map_err(|reason| Failure::usage(path.as_str(), reason))
    }

    /// What is wrong with a file whose every part is right.
    fn complaint(&self) -> Option<String> {
        if self.projects.is_empty() {
            return Some("projects: names none, so there is nothing to try".to_owned());
        }
        if self.kernels.is_empty() && self.include.is_empty() {
            return Some("kernels: names none, and there is no [[include]]".to_owned());
        }
        let tables = self.projects.iter().filter_map(|entry| entry.table().steps);
        let included = self.include.iter().filter_map(|more| more.steps.clone());
        let mut all = std::iter::once(self.steps.clone()).chain(tables).chain(included);
        if all.any(|steps| steps.is_empty()) {
            return Some("steps: names none".to_owned());
        }
        let blind = |rule: &Exclusion| rule.projects.is_empty() && rule.kernels.is_empty();
        if self.exclude.iter().any(blind) {
            return Some("[[exclude]]: without projects and kernels it leaves out everything".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<MatrixFile, String> {
        MatrixFile::parse(&format!("projects = [\".\"]\nkernels = [\"newest:1\"]\n{more}"))
    }

    #[test]
    fn all_that_there_is() {
        let file = parse(
            "steps = [\"build\", \"test:tests/x.sh\"]\n\
             [[include]]\nprojects = \"a*\"\nkernels = [\"arch:arm64 newest:1\"]\nsteps = [\"build\"]\n\
             [[exclude]]\nkernels = [\"6.*\", \"5.*\"]\nreason = \"old\"\n\
             [[expect]]\nprojects = [\"b\"]\nstep = \"insmod\"\nstatus = 21\nreason = \"bug 7\"\n",
        )
        .unwrap();
        assert!(file.include[0].projects.matches("abc") && !file.include[0].projects.matches("b"));
        assert!(file.exclude[0].kernels.matches("5.10.0-x") && file.exclude[0].projects.matches("any"));
        assert_eq!(file.expect[0].status, Some(21));
        assert_eq!(parse("").unwrap().steps, [CellStep::Build, CellStep::Insmod]);
        let table = MatrixFile::parse(
            "kernels = [\"prepared\"]\n[[projects]]\npath = \"../x\"\nallow_shell = true\nset = [\"A=1\"]\n",
        );
        assert!(table.unwrap().projects[0].table().allow_shell);
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_place() {
        for (more, said) in [
            ("step = [\"build\"]", "unknown field `step`"),
            ("steps = [\"biuld\"]", "\"biuld\" is no step"),
            ("steps = []", "names none"),
            ("[[exclude]]\nreason = \"x\"", "leaves out everything"),
            ("[[exclude]]\nkernel = \"x\"", "unknown field `kernel`"),
            ("[[expect]]\nkernels = \"6.*\"", "missing field `reason`"),
            ("[[expect]]\nkernels = \"6.[\"\nreason = \"x\"", "6.["),
            ("[[include]]\nkernels = [\"newest\"]", "newest"),
            ("x", "line 3"),
        ] {
            let error = parse(more).unwrap_err();
            assert!(error.contains(said), "{more}: {error}");
        }
        assert!(MatrixFile::parse("kernels = [\"newest:1\"]").unwrap_err().contains("projects"));
        assert!(MatrixFile::parse("projects = [\".\"]").unwrap_err().contains("kernels"));
    }
}
