// SPDX-License-Identifier: GPL-2.0
//! Checks whether the host itself can serve as the build root.

use anyhow::Result;

use crate::distribution::recipe::Recipe;
use crate::machine::package_tool::PackageTool;
use report::Report;
use report::failure::Failure;

/// Whether the host can serve as the root for `recipe`; if not, why.
pub(super) fn serves(recipe: &Recipe, report: &Report) -> Result<Result<(), Failure>> {
    let names = suites(
        &fs_err::read_to_string("/etc/os-release").unwrap_or_default(),
        &fs_err::read_to_string("/etc/debian_version").unwrap_or_default(),
    );
    if !names.contains(&recipe.suite) {
        let is = if names.is_empty() { "not Debian".to_owned() } else { names.join("/") };
        return Ok(Err(Failure::refused(
            "build root",
            format!("the host is {is}, the kernel needs {}", recipe.suite),
        )
        .remedy("leave out --root-fs host: then a build root of the kernel's distribution is made")));
    }
    let missing = PackageTool::Apt.missing(recipe.packages().to_vec(), report)?;
    if missing.is_empty() {
        return Ok(Ok(()));
    }
    Ok(Err(Failure::missing("build root", format!("the host lacks {}", missing.join(", ")))
        .remedy(PackageTool::Apt.line(&missing))))
}

/// The suites a host may be: `VERSION_CODENAME` of os-release(5), and what `/etc/debian_version`
/// says of a suite under development, `forky/sid`, where the two cannot be told apart. What differs
/// then, the proof finds.
fn suites(os_release: &str, debian_version: &str) -> Vec<String> {
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let development = debian_version.trim().split_once('/').map(|(_, unstable)| unstable);
    codename.into_iter().chain(development).map(|name| name.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::debian::recipe::recipe;

    #[test]
    fn suites_are_read() {
        assert_eq!(suites("ID=debian\nVERSION_CODENAME=bookworm\n", "12.11\n"), ["bookworm"]);
        assert_eq!(suites("ID=debian\nVERSION_CODENAME=forky\n", "forky/sid\n"), ["forky", "sid"]);
        assert!(suites("ID=arch\n", "").is_empty());
    }

    #[test]
    fn another_distribution_is_refused_by_name() {
        let recipe = recipe("nosuchsuite", Vec::new());
        let failure = serves(&recipe, &Report::silent()).unwrap().unwrap_err();
        assert!(failure.to_string().contains("needs nosuchsuite"), "{failure}");
    }
}
