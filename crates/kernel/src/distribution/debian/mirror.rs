// SPDX-License-Identifier: GPL-2.0
//! Where packages come from: the mirror that the host's own apt uses, and its apt settings.

use anyhow::Result;

use report::Report;
use report::failure::Failure;
use report::process::Cmd;

/// The two repositories of a Debian mirror, as URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptMirror {
    /// Main archive.
    pub main: String,
    /// Security updates; not every machine has them configured.
    pub security: Option<String>,
}

/// The keyring that Debian's archive is signed with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl AptMirror {
    /// The mirror of the host's apt.
    pub fn of_host(report: &Report) -> Result<Self> {
        let format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
        let targets = Cmd::new("apt-get")
            .args(["indextargets", "Created-By: Packages", "--format", format])
            .read(report)?;
        from_targets(&targets).ok_or_else(|| {
            Failure::missing("apt", "its sources name no Debian archive")
                .remedy("add your Debian mirror to /etc/apt/sources.list and run apt-get update")
                .into()
        })
    }
}

/// Reads `URI|RELEASE|COMPONENT` lines. The main archive is the one that has `main` of a suite
/// without a suffix; third parties' repositories have suites of other names.
fn from_targets(targets: &str) -> Option<AptMirror> {
    let rows = || {
        targets.lines().filter_map(|line| line.split_once('|')).filter(|(_, rest)| rest.ends_with("|main"))
    };
    let find = |wanted: &dyn Fn(&str) -> bool| {
        let mut found = rows().filter(|(_, rest)| wanted(rest.trim_end_matches("|main")));
        found.next().map(|(uri, _)| uri.trim_end_matches('/').to_owned())
    };
    let main = find(&|suite| SUITES.contains(&suite))?;
    let security = find(&|suite| suite.strip_suffix("-security").is_some_and(|base| SUITES.contains(&base)));
    Some(AptMirror { main, security })
}

/// Names that Debian's suites have, old and new.
const SUITES: &[&str] =
    &["oldstable", "stable", "testing", "unstable", "bookworm", "trixie", "forky", "duke", "sid"];

/// Settings of the host's apt that concern fetching and that another apt must share to reach the
/// same mirror: proxies, and what the person decided about expired Release files. As `NAME
/// "VALUE";` lines.
pub fn settings_of_host(report: &Report) -> Result<Vec<String>> {
    let dump = Cmd::new("apt-config").args(["dump", "Acquire"]).read(report)?;
    Ok(relevant_settings(&dump))
}

fn relevant_settings(dump: &str) -> Vec<String> {
    let wanted = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        let proxy = name.starts_with("Acquire::http") && name.contains("::Proxy");
        proxy || matches!(name, "Acquire::Check-Valid-Until" | "Acquire::Check-Date" | "Acquire::Retries")
    };
    dump.lines().filter(wanted).filter(|line| !line.ends_with("\"\";")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
http://mirror.example/debian/|bookworm|main
http://mirror.example/debian/|bookworm-updates|main
http://mirror.example/debian-security/|bookworm-security|main
https://vendor.example/apt/|cloud-sdk-bookworm|main
https://vendor.example/node/|nodistro|main
";

    #[test]
    fn debian_is_told_from_third_parties() {
        let mirror = from_targets(TARGETS).unwrap();
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://mirror.example/debian-security"));
    }

    #[test]
    fn no_debian_is_none() {
        assert_eq!(from_targets("https://vendor.example/node/|nodistro|main\n"), None);
    }

    #[test]
    fn choices_of_the_person_are_carried_over() {
        let dump = "Acquire \"\";\nAcquire::cdrom::mount \"/media\";\nAcquire::Check-Valid-Until \"false\";\n\
                    Acquire::http::Proxy \"http://proxy:3128\";\nAcquire::https::Proxy \"\";\n";
        assert_eq!(
            relevant_settings(dump),
            ["Acquire::Check-Valid-Until \"false\";", "Acquire::http::Proxy \"http://proxy:3128\";"]
        );
    }
}
