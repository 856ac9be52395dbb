// SPDX-License-Identifier: GPL-2.0
//! What DKMS calls a project.

use std::fmt;

use serde::Serialize;

/// A version of a project, as DKMS knows it: `NAME/VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DkmsPackage {
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`.
    pub version: String,
}

impl fmt::Display for DkmsPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}
