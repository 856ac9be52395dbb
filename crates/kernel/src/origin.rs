// SPDX-License-Identifier: GPL-2.0
//! Where a prepared kernel comes from.

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use kmodfile::release::Release;

/// Where a prepared kernel comes from, and so what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Origin {
    /// A distribution's packages: made again from them here, and proven.
    Archive {
        /// The part of the archive that they were in, such as `trixie-backports`.
        suite: String,
        /// Their version; of kernels that earlier versions of this tool prepared it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// This system, where it is installed: nothing of it is in the cache but its stamp.
    Installed(InstalledTree),
    /// A source tree of the user's.
    Source {
        /// What the source was, as the user named it.
        source: String,
        /// Whether all of it was made: image, modules, and what it exports.
        #[serde(default)]
        whole: bool,
    },
    /// The source and the configuration of another kernel, changed so that it finds faults.
    Sanitizing {
        /// The kernel that it stands for.
        of: Release,
    },
}

/// The places of an installed kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledTree {
    /// The directory that `make -C` takes.
    pub build: Utf8PathBuf,
    /// The source that its Makefile leads to; the same directory where all is in one.
    pub source: Utf8PathBuf,
    /// Its own modules: `/lib/modules/RELEASE`.
    pub modules: Utf8PathBuf,
    /// Its bootable image, if it is there.
    pub image: Option<Utf8PathBuf>,
    /// Directories besides that its Makefiles and programs lead to.
    pub others: Vec<Utf8PathBuf>,
    /// Whether modules in Rust can be built for it.
    #[serde(default)]
    pub rust: bool,
    /// What brings its image, where that is missing.
    #[serde(default)]
    pub image_from: String,
}

impl Origin {
    /// Its name in tables and documents: the suite, or `installed`, `source`, `sanitizing`.
    pub fn name(&self) -> &str {
        match self {
            Self::Archive { suite, .. } => suite,
            Self::Installed(_) => "installed",
            Self::Source { .. } => "source",
            Self::Sanitizing { .. } => "sanitizing",
        }
    }

    /// Whether it was made from a distribution's packages, and so is one that is shipped.
    pub fn is_archive(&self) -> bool {
        matches!(self, Self::Archive { .. })
    }

    /// Whether a kernel of this release from elsewhere may take its place without being asked.
    pub fn is_of_the_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive { suite, .. } => write!(f, "the archive ({suite})"),
            Self::Installed(tree) => write!(f, "this system ({})", tree.build),
            Self::Source { source, .. } => write!(f, "source ({source})"),
            Self::Sanitizing { of } => write!(f, "{of}, for sanitizing"),
        }
    }
}
