// SPDX-License-Identifier: GPL-2.0
//! What a pipeline runs, and how the tool gets onto its machines.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::text::shell;
use crate::{Invalid, Name, Source, Text};

/// The script that a new repository has for this.
pub const PREPARE: &str = ".ci/prepare";

/// A pipeline: the matrix of a file, shared out to machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The file that says what is wanted.
    pub file: MatrixPath,
    /// How the tool is called: `cargo kmod`.
    pub tool: Text,
    /// What installs it on a fresh Debian, as root: lines of a shell.
    pub install: Installation,
    /// The directory below the user's cache in which the tool keeps prepared kernels.
    pub cache: Name,
    /// What one machine has.
    pub share: CiShare,
}

/// What one machine of a pipeline has of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiShare {
    /// All cells of one kernel, so that it is prepared once.
    Kernel,
    /// One of so many parts of equal size.
    Partition(NonZeroU32),
}

impl FromStr for CiShare {
    type Err = Invalid;

    /// Reads `kernel` or `partition:3`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(text, "is no way to share out", "give kernel, or partition:3");
        match text.split_once(':') {
            None if text == "kernel" => Ok(Self::Kernel),
            Some(("partition", count)) => count.parse().map(Self::Partition).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

/// The file of a matrix, from the top of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixPath(String);

/// Lines of a shell that install the tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installation {
    /// The repository has a script for it, [`PREPARE`].
    Prepared,
    /// What that script would do, from where the tool is.
    From(Source),
    /// The user's own.
    Own(String),
}

/// One machine's share of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiJob {
    /// What people call it, and safe as the name of a file: a release, or `1-of-3`.
    pub name: String,
    /// What the tool is told: a release, or `1/3`.
    pub word: String,
    /// The key of its cache.
    pub key: String,
}

impl MatrixPath {
    /// Takes a path.
    ///
    /// # Errors
    ///
    /// Refused, if it leads out of the repository, or has in it what pipelines put values for.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        let refuse = |reason: &str| Err(Invalid::new(path, reason, "name a file of the repository plainly"));
        let odd = |c: char| c.is_control() || "$`\"\\".contains(c);
        if path.is_empty() || path.starts_with(['/', '-', '~']) || path.split('/').any(|part| part == "..") {
            return refuse("is no path from the top of a repository");
        }
        if path.contains(odd) {
            return refuse("has characters in it that pipelines put values for");
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for MatrixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Installation {
    /// Its lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Prepared => vec![PREPARE.to_owned()],
            Self::From(source) => script(&source.install())
                .lines()
                .filter(|line| !line.starts_with('#') && !line.starts_with("set "))
                .map(str::to_owned)
                .collect(),
            Self::Own(text) => text.lines().map(str::to_owned).collect(),
        }
    }
}

/// The script of a new repository; `tool` is the line that installs the tool, if one is needed.
pub(crate) fn script(tool: &str) -> String {
    crate::fill::fill(include_str!("../../files/ci-prepare"), &[("tool", tool)])
}

impl Pipeline {
    /// The tool with these words.
    pub(super) fn line(&self, words: &str) -> String {
        format!("{} {words}", self.tool)
    }

    /// What `run` is told of its share, from a variable.
    pub(super) fn run_words(&self) -> (&'static str, &'static str) {
        match self.share {
            CiShare::Kernel => ("KERNEL", "--kernel \"$KERNEL\""),
            CiShare::Partition(_) => ("PART", "--partition \"$PART\""),
        }
    }

    /// The options by which this pipeline was asked for, for when it asks for its jobs.
    pub(super) fn own_options(&self) -> String {
        let mut options = match self.share {
            CiShare::Kernel => String::new(),
            CiShare::Partition(count) => format!(" --by partition:{count}"),
        };
        if let Installation::Own(text) = &self.install {
            options.push_str(&format!(" --install {}", shell(text)));
        }
        options
    }

    /// What its comments begin with.
    pub(super) fn head(&self, system: &str) -> Vec<String> {
        vec![
            "SPDX-License-Identifier: GPL-2.0".to_owned(),
            format!("The kernels that {} names, as the archive has them when this runs.", self.file),
            format!("Made by: {} matrix ci {system} {}{}", self.tool, shown(&self.file), self.own_options()),
        ]
    }
}

/// A word of a command, quoted where that is needed.
pub(super) fn shown(file: &MatrixPath) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./_-+".contains(c);
    if file.0.chars().all(plain) { file.0.clone() } else { shell(&file.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_of_the_repository_and_mean_themselves() {
        for path in ["matrix.toml", "ci/all kernels.toml", "a/b+c.toml"] {
            assert_eq!(MatrixPath::parse(path).unwrap().to_string(), path);
        }
        for path in ["", "/etc/x", "../x", "a/../../x", "-x", "~/x", "${{ x }}", "$X", "`id`", "a\nb", "a\"b"]
        {
            assert!(MatrixPath::parse(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_share_is_a_kernel_or_one_of_so_many_parts() {
        assert_eq!("kernel".parse(), Ok(CiShare::Kernel));
        assert_eq!("partition:3".parse(), Ok(CiShare::Partition(NonZeroU32::new(3).unwrap())));
        for text in ["", "kernels", "partition", "partition:0", "partition:x", "kernel:2"] {
            assert!(text.parse::<CiShare>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_tool_is_installed_as_the_script_of_a_new_repository_does_it() {
        let version = crate::Version::parse("0.1.0").unwrap();
        let lines = Installation::From(Source::Version(version)).lines();
        assert_eq!(lines.first().map(String::as_str), Some("apt-get update"));
        assert_eq!(lines.last().map(String::as_str), Some("cargo install --locked cargo-kmod@0.1.0"));
        assert_eq!(Installation::Own("a\nb".to_owned()).lines(), ["a", "b"]);
        assert_eq!(Installation::Prepared.lines(), [".ci/prepare"]);
    }
}
