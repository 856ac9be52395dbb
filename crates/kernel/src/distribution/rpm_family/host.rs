// SPDX-License-Identifier: GPL-2.0
//! What the machine itself is, and whether it can serve as the build root.

use anyhow::Result;

use crate::distribution::recipe::Recipe;
use crate::distribution::rpm_family::repositories::RepositoryTool;
use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// What os-release(5) says of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostSystem {
    /// `fedora-43`, `almalinux-9.6`, `opensuse-leap-16.0`.
    pub(super) suite: String,
    /// `43`, `9`: what stands for `$releasever` in the addresses of repositories.
    pub(super) version: String,
}

impl HostSystem {
    pub(super) fn here() -> Self {
        Self::read(&fs_err::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn read(os_release: &str) -> Self {
        let value = |name: &str| {
            let mut lines = os_release.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let (id, version, platform) = (value("ID"), value("VERSION_ID"), value("PLATFORM_ID"));
        // `platform:f43`, `platform:el9`; openSUSE has none.
        let digits = platform.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let suite =
            [id, version.clone()].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        Self { suite, version: if digits.is_empty() { version } else { digits } }
    }
}

/// Whether the host can serve as the root for `recipe`; if not, why.
pub(super) fn serves(recipe: &Recipe, tool: RepositoryTool, report: &Report) -> Result<Result<(), Failure>> {
    let here = HostSystem::here();
    if here.suite != recipe.suite {
        let reason = format!("the host is {}, the kernel needs {}", here.suite, recipe.suite);
        return Ok(Err(Failure::refused("build root", reason)
            .remedy("leave out --root-fs host: then a build root of the kernel's distribution is made")));
    }
    let missing = missing_packages(recipe, report)?;
    if missing.is_empty() {
        return Ok(Ok(()));
    }
    let install = format!("{} install {}", tool.program(), missing.join(" "));
    Ok(Err(Failure::missing("build root", format!("the host lacks {}", missing.join(", "))).remedy(install)))
}

/// Packages that nothing installed is or provides.
fn missing_packages<'a>(recipe: &'a Recipe, report: &Report) -> Result<Vec<&'a str>> {
    let mut missing = Vec::new();
    for name in recipe.packages() {
        let asked =
            Cmd::new("rpm").args(["--query", "--quiet", "--whatprovides"]).arg(name).finish(report)?;
        if !asked.status.success() {
            missing.push(name.as_str());
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_called_by_its_name_and_version() {
        for (text, suite, version) in [
            ("ID=fedora\nVERSION_ID=43\nPLATFORM_ID=\"platform:f43\"\n", "fedora-43", "43"),
            ("ID=\"almalinux\"\nVERSION_ID=\"9.6\"\nPLATFORM_ID=\"platform:el9\"\n", "almalinux-9.6", "9"),
            ("ID=\"opensuse-leap\"\nVERSION_ID=\"16.0\"\n", "opensuse-leap-16.0", "16.0"),
        ] {
            let host = HostSystem::read(text);
            assert_eq!((host.suite.as_str(), host.version.as_str()), (suite, version));
        }
    }
}
