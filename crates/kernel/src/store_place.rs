// SPDX-License-Identifier: GPL-2.0
//! Where a store is: a directory, or what rclone(1) reaches, S3 among it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::machine::program::{Program, program, supply};
use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use report::Report;
use report::durable;
use report::failure::{Failure, program_of};
use report::process::Cmd;

/// A store by its place. `rclone:REMOTE:PATH` is one of rclone's, anything else a directory.
///
/// ```
/// use kernel::store_place::StorePlace;
///
/// let store: StorePlace = "rclone:fleet:kernels/amd64".parse().unwrap();
/// assert_eq!(store.to_string(), "rclone:fleet:kernels/amd64");
/// assert_eq!("/srv/kernels".parse(), Ok(StorePlace::Directory("/srv/kernels".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// A directory.
    Directory(Utf8PathBuf),
    /// A remote of rclone's, with the path in it.
    Rclone(String),
}

impl FromStr for StorePlace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("rclone:") {
            Some(remote) => Self::Rclone(remote.trim_end_matches('/').to_owned()),
            None => Self::Directory(text.into()),
        })
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => f.write_str(dir.as_str()),
            Self::Rclone(remote) => write!(f, "rclone:{remote}"),
        }
    }
}

/// What reaches every store that is no directory and no server of files.
const RCLONE: Program =
    program("rclone", "rclone", "reaches a store of prepared kernels").in_rpms("rclone", "rclone");

/// What rclone ends with where a file or its directory is not there (rclone(1), "Exit code").
const ABSENT: [i32; 2] = [3, 4];

impl StorePlace {
    /// The same, from the root of the file system.
    #[must_use]
    pub fn within(self, here: &Utf8Path) -> Self {
        match self {
            Self::Directory(dir) => Self::Directory(here.join(dir)),
            other => other,
        }
    }

    /// Fetches what is called `name` into `file`; false if it is not there.
    pub(crate) fn get(&self, report: &Report, name: &str, file: &Utf8Path) -> Result<bool> {
        match self {
            Self::Directory(dir) => match fs_err::copy(dir.join(name), file) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error).with_context(|| format!("reading the store {self}")),
            },
            Self::Rclone(remote) => {
                let cmd = rclone().args([&format!("{remote}/{name}"), file.as_str()]);
                let output = cmd.finish(report).map_err(explained)?;
                match output.status.code() {
                    // Of some kinds of store it says of a file that is not there that all is well.
                    Some(0) => Ok(file.exists()),
                    Some(code) if ABSENT.contains(&code) => Ok(false),
                    _ => Err(self.failure(&output.tail).into()),
                }
            }
        }
    }

    /// Writes a file there: it is there whole, or not at all.
    pub(crate) fn put(&self, report: &Report, file: &Utf8Path, name: &str) -> Result<()> {
        match self {
            Self::Directory(dir) => {
                let place = dir.join(name);
                let parent = place.parent().context("it has a directory")?;
                fs_err::create_dir_all(parent)?;
                let beside = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
                std::io::copy(&mut fs_err::File::open(file)?, &mut beside.as_file())?;
                let beside = Utf8PathBuf::try_from(beside.into_temp_path().keep()?)?;
                durable::publish(&beside, &place)
            }
            Self::Rclone(remote) => {
                let cmd = rclone().args([file.as_str(), &format!("{remote}/{name}")]);
                let output = cmd.finish(report).map_err(explained)?;
                if output.status.success() { Ok(()) } else { Err(self.failure(&output.tail).into()) }
            }
        }
    }

    fn failure(&self, said: &str) -> Failure {
        let said = said.trim().lines().next_back().unwrap_or("rclone failed").to_owned();
        Failure::missing(self.to_string(), said)
            .remedy("see what rclone says of it: rclone lsf, and its configuration")
    }
}

/// Copies one file. It says what it does where the tool shows that.
fn rclone() -> Cmd {
    Cmd::new("rclone").args(["copyto", "--retries=3", "--no-traverse"])
}

fn explained(error: anyhow::Error) -> anyhow::Error {
    if program_of(&error).is_none() {
        return error;
    }
    let reason = "no such program on this machine, and the store is one that it reaches";
    Failure::missing("`rclone`", reason).remedy(supply(&[&RCLONE])).into()
}
