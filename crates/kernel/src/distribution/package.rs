// SPDX-License-Identifier: GPL-2.0
//! One binary package of an archive, as its index describes it.

use serde::{Deserialize, Serialize};

/// A package, and the suite it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as its distribution writes it.
    pub version: String,
    /// The part of the archive it is in, such as `trixie-backports`.
    pub suite: String,
    /// The architecture it is for, in its distribution's words.
    pub architecture: String,
    /// Names it depends on, with the version where exactly one is asked for; of alternatives the
    /// first.
    pub depends: Vec<Dependency>,
    /// Size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Where the file is.
    pub uri: String,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Package name.
    pub name: String,
    /// The version, where exactly one is asked for.
    pub exact: Option<String>,
}

/// The package of this name and exactly this version.
pub fn find<'a>(packages: &'a [Package], name: &str, version: &str) -> Option<&'a Package> {
    packages.iter().find(|package| package.name == name && package.version == version)
}
