// SPDX-License-Identifier: GPL-2.0
//! What a build root must hold.

use serde::{Deserialize, Serialize};

use crate::machine::user;
use report::fingerprint::Fingerprint;

/// Changes when what is done to a tree changes, so that older trees are made anew.
const REVISION: u32 = 2;

/// Distribution, suite and packages of a build root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The distribution's [`id`](super::Distribution::id).
    pub distribution: String,
    /// The part of the distribution's archive, such as `trixie`; never `-backports`.
    pub suite: String,
    /// Packages beyond the minimal system, sorted, each once.
    packages: Vec<String>,
}

impl Recipe {
    /// A root with these packages.
    pub fn new(distribution: &str, suite: &str, packages: impl IntoIterator<Item = String>) -> Self {
        let (distribution, suite) = (distribution.to_owned(), suite.to_owned());
        Self { distribution, suite, packages: Vec::new() }.with(packages)
    }

    /// The machine itself, whatever its distribution: for a kernel that is installed in it.
    pub fn host() -> Self {
        Self::new("", "host", [])
    }

    /// Whether it is the machine itself, and no tree can be made after it.
    pub fn is_host(&self) -> bool {
        self.distribution.is_empty()
    }

    /// Packages beyond the minimal system, sorted, each once.
    pub fn packages(&self) -> &[String] {
        &self.packages
    }

    /// The same root with further packages.
    #[must_use]
    pub fn with(mut self, packages: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.packages.extend(packages.into_iter().map(Into::into));
        self.packages.sort();
        self.packages.dedup();
        self
    }

    /// The name of a tree made after this recipe by this user: distribution, suite and hash.
    pub fn identity(&self) -> String {
        let print = Fingerprint::new("build root", REVISION)
            .text("distribution", &self.distribution)
            .text("suite", &self.suite)
            .list("packages", &self.packages)
            .flag("unprivileged", !user::is_root())
            // A home directory may be shared by machines of several kinds.
            .text("machine", std::env::consts::ARCH)
            .hex();
        format!("{}-{}-{}", self.distribution, self.suite, &print[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(packages: &[&str]) -> Recipe {
        Recipe::new("d", "s", packages.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn the_same_packages_are_the_same_root() {
        assert_eq!(recipe(&["b", "a", "b"]), recipe(&["a"]).with(["b"]));
        let names: Vec<String> =
            [recipe(&["a"]), recipe(&["a", "b"]), recipe(&["ab"])].iter().map(Recipe::identity).collect();
        assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("d-s-") && name.len() == 16), "{names:?}");
    }
}
