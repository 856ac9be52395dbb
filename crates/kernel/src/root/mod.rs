// SPDX-License-Identifier: GPL-2.0
//! Build roots: where compilers run. Either the host itself, or a distribution tree made for it.
//!
//! A command runs the same way in either, and is shown the same way in errors and with `-v`.
//! A tree is entered only in a private mount namespace (see [`enter`]), so that no mount outlives a command.

pub mod debian;
pub mod enter;
pub mod host;
pub mod mounts;
pub mod recipe;
pub mod removal;
pub mod scratch;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::context::Context;
use debian::DebianRoot;
use recipe::Recipe;
use report::process::Cmd;

/// Which build root the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The host where its distribution and packages are right, else a made one.
    #[default]
    Auto,
    /// The host itself; refused where its distribution is another.
    Host,
    /// A made one, even where the host would do.
    Made,
}

/// Where a command runs.
#[derive(Clone, Debug)]
pub enum Root {
    /// The machine itself.
    Host,
    /// A Debian tree in the cache.
    Debian(DebianRoot),
}

/// Directories of the host that a command may see in a made root, at the same paths.
#[derive(Clone, Debug, Default)]
pub struct Access {
    read: Vec<Utf8PathBuf>,
    write: Vec<Utf8PathBuf>,
    read_at: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

impl Access {
    /// Adds a directory or file that is only read.
    #[must_use]
    pub fn read(mut self, path: impl AsRef<Utf8Path>) -> Self {
        self.read.push(path.as_ref().to_owned());
        self
    }

    /// Adds a directory that is only read, and found at another path there; on the host it stays where it is.
    #[must_use]
    pub fn read_at(mut self, path: impl AsRef<Utf8Path>, place: impl AsRef<Utf8Path>) -> Self {
        self.read_at.push((path.as_ref().to_owned(), place.as_ref().to_owned()));
        self
    }

    /// Adds a directory that is written to.
    #[must_use]
    pub fn write(mut self, path: impl AsRef<Utf8Path>) -> Self {
        self.write.push(path.as_ref().to_owned());
        self
    }
}

impl Root {
    /// The root for `recipe`, made if need be.
    pub fn provide(context: &Context, recipe: &Recipe, choice: Choice) -> Result<Self> {
        let host_serves = match choice {
            Choice::Made => false,
            Choice::Auto => host::serves(recipe, &context.report)?.is_ok(),
            Choice::Host => host::serves(recipe, &context.report)?.map(|()| true)?,
        };
        if host_serves { Ok(Self::Host) } else { DebianRoot::provide(context, recipe).map(Self::Debian) }
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Debian(root) => root.name(),
        }
    }

    /// What the contents of the root are known by: two roots with the same identity build the same.
    pub fn identity(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Debian(root) => root.identity(),
        }
    }

    /// `cmd` as it is to be run in this root: with a clean environment, the distribution's own programs
    /// first, and only what `access` names of the host's files.
    pub fn inside(&self, context: &Context, cmd: Cmd, access: &Access) -> Cmd {
        match self {
            Self::Host => host::inside(cmd),
            Self::Debian(root) => root.inside(context, cmd, access),
        }
    }
}

/// `PATH` in every root: the distribution's programs, no toolchain of the user's.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment every command in a root gets besides its own.
static ENVIRONMENT: [(&str, &str); 4] =
    [("PATH", PATH), ("HOME", "/tmp"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
