// SPDX-License-Identifier: GPL-2.0
//! Where a report for programs goes.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::durable;
use crate::outputs::print;

/// A file, or standard output.
///
/// ```
/// use report::destination::Destination;
///
/// let to: Destination = "-".parse().unwrap();
/// assert_eq!(to, Destination::Output);
/// let to: Destination = "./-".parse().unwrap();
/// assert_eq!(to, Destination::File("./-".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output: `-`.
    Output,
    /// A file.
    File(Utf8PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Output } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file().map_or("-", Utf8Path::as_str))
    }
}

impl Destination {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Utf8Path> {
        match self {
            Self::Output => None,
            Self::File(file) => Some(file),
        }
    }

    /// Writes a whole report there; a file is replaced.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        match self {
            Self::Output => Ok(print(text.as_bytes())?),
            Self::File(file) => durable::replace(file, text.as_bytes()),
        }
    }

    /// Begins a report that grows: what a file had before is gone.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn begin(&self) -> Result<()> {
        Ok(self.file().map_or(Ok(()), |file| fs_err::write(file, ""))?)
    }

    /// What adds to it.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn append(&self) -> Result<Box<dyn Write>> {
        let Some(file) = self.file() else { return Ok(Box::new(io::stdout())) };
        let opened = File::options().create(true).append(true).open(file);
        Ok(Box::new(opened.with_context(|| format!("opening {file}"))?))
    }
}
