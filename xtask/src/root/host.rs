// SPDX-License-Identifier: GPL-2.0
//! The host as a build root, where its distribution already is the right one.

use anyhow::Result;

use super::ENVIRONMENT;
use super::recipe::Recipe;
use crate::failure::Failure;
use crate::process::Cmd;
use crate::report::Report;

/// Whether the host can serve as the root for `recipe`; if not, why.
pub fn serves(recipe: &Recipe, report: &Report) -> Result<Result<(), Failure>> {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = codename(&release);
    if codename.as_deref() != Some(&recipe.suite) {
        let is = codename.unwrap_or_else(|| "no Debian".to_owned());
        return Ok(Err(Failure::refused(
            "build root",
            format!("the host is {is}, the kernel needs {}", recipe.suite),
        )
        .remedy("leave out --root-fs host: a root is made for the kernel's distribution")));
    }
    let missing = missing_packages(recipe, report)?;
    if missing.is_empty() {
        return Ok(Ok(()));
    }
    Ok(Err(Failure::missing("build root", format!("the host lacks {}", missing.join(", ")))
        .remedy(format!("sudo apt-get install {}", missing.join(" ")))))
}

/// `cmd` with the environment every root has.
pub fn inside(cmd: Cmd) -> Cmd {
    cmd.environment_of(&ENVIRONMENT)
}

/// `VERSION_CODENAME` of an os-release(5) file.
fn codename(os_release: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| Some(line.strip_prefix("VERSION_CODENAME=")?.trim_matches('"').to_owned()))
}

fn missing_packages(recipe: &Recipe, report: &Report) -> Result<Vec<String>> {
    let format = "${Package} ${db:Status-Status}\n";
    let output =
        Cmd::new("dpkg-query").args(["-W", "-f", format]).args(&recipe.packages).finish(report)?.text();
    let installed = |name: &str| output.lines().any(|line| line == format!("{name} installed"));
    Ok(recipe.packages.iter().filter(|name| !installed(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codename_is_read() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=arch\n"), None);
    }

    #[test]
    fn another_distribution_is_refused_by_name() {
        let recipe = Recipe { suite: "nosuchsuite".into(), packages: Vec::new() };
        let failure = serves(&recipe, &Report::silent()).unwrap().unwrap_err();
        assert!(failure.to_string().contains("needs nosuchsuite"), "{failure}");
    }

    #[test]
    fn a_command_on_the_host_has_the_roots_environment() {
        let cmd = inside(Cmd::new("env").env("X", "1"));
        let output = cmd.read(&Report::silent()).unwrap();
        assert!(output.lines().any(|line| line == "X=1") && output.lines().any(|line| line == "HOME=/tmp"));
        assert!(!output.contains("CARGO"), "{output}");
        assert_eq!(cmd.line(), "X=1 env");
    }
}
