// SPDX-License-Identifier: GPL-2.0
//! What is done in a cell.

use std::fmt;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// One thing that is done with a project for a kernel. As text it is a word; the two that take a
/// file are `test:FILE` and `run:FILE`.
///
/// ```
/// use matrix::step::CellStep;
///
/// let step: CellStep = "test:tests/smoke.sh".parse().unwrap();
/// assert_eq!(step, CellStep::Test("tests/smoke.sh".into()));
/// assert!("isnmod".parse::<CellStep>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CellStep {
    /// The project is built.
    Build,
    /// Would the kernel load what was built? Said without booting it.
    Inspect,
    /// The kernel is booted, the modules are loaded and removed.
    Insmod,
    /// The same, with this program run while they are loaded.
    Test(Utf8PathBuf),
    /// A kmod RPM is made.
    Rpm,
    /// A Debian package is made.
    Deb,
    /// The real Secure Boot chain is booted.
    SecureBoot,
    /// This program is run on the host, told of project and kernel by its environment.
    Run(Utf8PathBuf),
}

/// A word that names no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStep(pub String);

impl fmt::Display for UnknownStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = CellStep::WORDS.join(", ");
        write!(f, "{:?} is no step; there are {known}, test:FILE and run:FILE", self.0)
    }
}

impl std::error::Error for UnknownStep {}

impl CellStep {
    /// The steps that are a word alone.
    pub const WORDS: [&str; 6] = ["build", "inspect", "insmod", "rpm", "deb", "secure-boot"];

    /// The file that it takes, if it takes one.
    pub fn file(&self) -> Option<&Utf8Path> {
        match self {
            Self::Test(file) | Self::Run(file) => Some(file),
            _ => None,
        }
    }

    /// The same step, its file looked for in `dir`.
    #[must_use]
    pub fn within(&self, dir: &Utf8Path) -> Self {
        match self {
            Self::Test(file) => Self::Test(dir.join(file)),
            Self::Run(file) => Self::Run(dir.join(file)),
            other => other.clone(),
        }
    }

    /// Whether a machine is booted for it.
    pub fn boots(&self) -> bool {
        matches!(self, Self::Insmod | Self::Test(_) | Self::SecureBoot)
    }

    /// Whether the kernel has to be prepared for it.
    pub fn needs_kernel(&self) -> bool {
        !matches!(self, Self::Run(_))
    }
}

impl FromStr for CellStep {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        let unknown = || UnknownStep(text.to_owned());
        if let Some((word, file)) = text.split_once(':') {
            return match word {
                _ if file.is_empty() => Err(unknown()),
                "test" => Ok(Self::Test(file.into())),
                "run" => Ok(Self::Run(file.into())),
                _ => Err(unknown()),
            };
        }
        Ok(match text {
            "build" => Self::Build,
            "inspect" => Self::Inspect,
            "insmod" => Self::Insmod,
            "rpm" => Self::Rpm,
            "deb" => Self::Deb,
            "secure-boot" => Self::SecureBoot,
            _ => return Err(unknown()),
        })
    }
}

impl fmt::Display for CellStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build => f.pad("build"),
            Self::Inspect => f.pad("inspect"),
            Self::Insmod => f.pad("insmod"),
            Self::Rpm => f.pad("rpm"),
            Self::Deb => f.pad("deb"),
            Self::SecureBoot => f.pad("secure-boot"),
            Self::Test(file) => write!(f, "test:{file}"),
            Self::Run(file) => write!(f, "run:{file}"),
        }
    }
}

impl TryFrom<String> for CellStep {
    type Error = UnknownStep;

    fn try_from(text: String) -> Result<Self, UnknownStep> {
        text.parse()
    }
}

impl From<CellStep> for String {
    fn from(step: CellStep) -> Self {
        step.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_a_word_and_nothing_else_is_one() {
        for text in ["build", "inspect", "insmod", "rpm", "deb", "secure-boot", "test:a/b.sh", "run:./x"] {
            assert_eq!(text.parse::<CellStep>().unwrap().to_string(), text);
        }
        for text in ["", "Build", "test", "test:", "run:", "build:x", "sleep:3"] {
            assert!(text.parse::<CellStep>().is_err(), "{text}");
        }
    }
}
