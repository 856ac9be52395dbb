// SPDX-License-Identifier: GPL-2.0
//! Which kernels of the archive are newer than those of a plan.

use std::cmp::Ordering;

use kernel::version;
use kmodfile::release::Release;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlannedKernel};

/// A kernel that the plan did not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKernel {
    /// Its release.
    pub release: Release,
    /// The part of the archive that it is in.
    pub suite: String,
    /// The one of the plan that it comes after.
    pub before: Release,
}

/// Of the `archive`'s kernels those that machines will get next which run one of the plan's: the
/// newest of each flavour and part of the archive, if it is newer than all of the plan's of its
/// line (`6.12`), or, where the plan has none of that, than all of its flavour.
///
/// Kernels that were made here or are installed say nothing of an archive, nor do those that stand
/// for others.
pub fn newer(plan: &Plan, archive: &[PlannedKernel]) -> Vec<NewKernel> {
    let followed: Vec<&PlannedKernel> = plan.kernels.iter().filter(|kernel| is_followed(kernel)).collect();
    let mut found: Vec<NewKernel> = Vec::new();
    for kernel in archive {
        let Some(suite) = &kernel.suite else { continue };
        let Some(before) = before(&followed, kernel) else { continue };
        let new = NewKernel { release: kernel.release.clone(), suite: suite.clone(), before };
        keep_newest(&mut found, new);
    }
    found.sort_by(|a, b| order(&b.release, &a.release).then_with(|| a.release.cmp(&b.release)));
    found
}

fn is_followed(kernel: &PlannedKernel) -> bool {
    kernel.suite.is_some() && kernel.stands_for.is_none()
}

/// The newest kernel of the plan that this one comes after; none, if it comes after none or is
/// there already.
fn before(followed: &[&PlannedKernel], kernel: &PlannedKernel) -> Option<Release> {
    let alike = |planned: &&&PlannedKernel| {
        planned.architecture == kernel.architecture && planned.release.flavour() == kernel.release.flavour()
    };
    let of_flavour: Vec<&Release> = followed.iter().filter(alike).map(|planned| &planned.release).collect();
    let newest = |of: Vec<&Release>| of.into_iter().max_by(|a, b| order(a, b)).cloned();
    let of_line = of_flavour.iter().copied().filter(|planned| planned.line() == kernel.release.line());
    let last = newest(of_line.collect()).or_else(|| newest(of_flavour))?;
    order(&kernel.release, &last).is_gt().then_some(last)
}

/// Puts `new` in the place of an older one of the same flavour and part of the archive.
fn keep_newest(found: &mut Vec<NewKernel>, new: NewKernel) {
    let same = |other: &NewKernel| {
        other.suite == new.suite
            && other.release.flavour() == new.release.flavour()
            && other.release.line() == new.release.line()
    };
    match found.iter_mut().find(|other| other.release == new.release || same(other)) {
        Some(other) if order(&new.release, &other.release).is_gt() => *other = new,
        Some(_) => {}
        None => found.push(new),
    }
}

/// The order of two releases. A candidate comes before what it is one for.
pub(super) fn order(a: &Release, b: &Release) -> Ordering {
    let text = |release: &Release| release.without_flavour().replace("-rc", "~rc");
    version::compare(&text(a), &text(b))
}

#[cfg(test)]
mod tests {
    use kmodfile::architecture::Architecture;

    use super::*;

    fn kernel(text: &str) -> PlannedKernel {
        let (release, suite) = text.split_once(' ').unwrap_or((text, ""));
        PlannedKernel {
            release: release.parse().unwrap(),
            stands_for: None,
            architecture: Architecture::Amd64,
            suite: (!suite.is_empty()).then(|| suite.to_owned()),
            identity: String::new(),
            rust: false,
        }
    }

    fn found(planned: &[&str], archive: &[&str]) -> Vec<String> {
        let kernels = planned.iter().map(|text| kernel(text)).collect();
        let plan = Plan::new("1", None, Vec::new(), kernels, Vec::new());
        let archive: Vec<PlannedKernel> = archive.iter().map(|text| kernel(text)).collect();
        newer(&plan, &archive).iter().map(|new| format!("{} after {}", new.release, new.before)).collect()
    }

    #[test]
    fn the_next_of_each_line_and_of_a_line_to_come_are_found() {
        let planned = ["6.12.111+deb13-amd64 trixie", "7.2.9+deb13-amd64 trixie-backports"];
        let archive = [
            "7.3-amd64 experimental",
            "7.2.13+deb14-amd64 sid",
            "7.2.11+deb13-amd64 trixie-backports",
            "7.2.9+deb13-amd64 trixie-backports",
            "7.2.6+deb13-amd64 trixie-backports",
            "7.1.9+deb13-amd64 trixie-backports",
            "6.12.113+deb13-amd64 trixie-security",
            "6.12.111+deb13-amd64 trixie",
            "6.12.113+deb13-cloud-amd64 trixie-security",
        ];
        let expected = [
            "7.3-amd64 after 7.2.9+deb13-amd64",
            "7.2.13+deb14-amd64 after 7.2.9+deb13-amd64",
            "7.2.11+deb13-amd64 after 7.2.9+deb13-amd64",
            "6.12.113+deb13-amd64 after 6.12.111+deb13-amd64",
        ];
        assert_eq!(found(&planned, &archive), expected);
    }

    #[test]
    fn only_the_newest_of_a_part_of_the_archive_is_what_machines_get() {
        let archive = ["7.2.12+deb14-amd64 sid", "7.2.13+deb14-amd64 sid", "7.2.13+deb14-amd64 forky"];
        let expected = ["7.2.13+deb14-amd64 after 7.2.9+deb13-amd64"];
        assert_eq!(found(&["7.2.9+deb13-amd64 trixie-backports"], &archive), expected);
    }

    #[test]
    fn a_candidate_comes_before_what_it_is_one_for() {
        assert_eq!(found(&["7.3-amd64 sid"], &["7.3-rc7-amd64 experimental"]), [""; 0]);
        let after = ["7.3-amd64 after 7.3-rc7-amd64"];
        assert_eq!(found(&["7.3-rc7-amd64 experimental"], &["7.3-amd64 experimental"]), after);
    }

    #[test]
    fn what_no_archive_has_is_followed_by_nothing() {
        assert_eq!(found(&["7.2.9+deb13-amd64"], &["7.3-amd64 sid"]), [""; 0]);
        assert_eq!(found(&[], &["7.3-amd64 sid"]), [""; 0]);
        assert_eq!(found(&["7.2.9-amd64 sid"], &["7.2.9-amd64 sid"]), [""; 0]);
    }
}
