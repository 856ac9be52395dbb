// SPDX-License-Identifier: GPL-2.0
//! A kernel that finds faults: the same source and configuration as another, built by clang with
//! what distributions leave out.

pub mod configuration;
pub mod document;
pub mod kconfig;
pub(crate) mod making;
pub mod options;

use kmodfile::release::{NotARelease, Release};

/// What the name of a sanitizing kernel has more than that of the kernel that it stands for.
const SUFFIX: &str = "-sanitize";

/// The sanitizing kernel that stands for `of`; itself, if it is one.
///
/// # Errors
///
/// If the name would be too long.
pub fn standing_for(of: &Release) -> Result<Release, NotARelease> {
    if stands_for(of).is_some() { Ok(of.clone()) } else { format!("{of}{SUFFIX}").parse() }
}

/// The kernel that a sanitizing one stands for; of any other kernel there is none.
pub fn stands_for(release: &Release) -> Option<Release> {
    release.as_str().strip_suffix(SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_both_ways() {
        let of: Release = "7.2.11+deb13-cloud-amd64".parse().unwrap();
        let twin = standing_for(&of).unwrap();
        assert_eq!(twin.as_str(), "7.2.11+deb13-cloud-amd64-sanitize");
        assert_eq!((stands_for(&twin), stands_for(&of)), (Some(of), None));
        assert_eq!(standing_for(&twin), Ok(twin));
    }
}
