// SPDX-License-Identifier: GPL-2.0
//! Where a new repository takes the tool from.

use camino::{Utf8Path, Utf8PathBuf};

use crate::Invalid;
use crate::text::{Version, shell, toml};

/// Where the tool's package is, for `cargo install` and for the dependency of a repository's own
/// `cargo xtask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A registry has this version.
    Version(Version),
    /// A git repository.
    Git(GitUrl),
    /// A directory of this machine. What is written with it works here only.
    Path(Utf8PathBuf),
    /// Nobody knows where: the program that is installed serves, and `cargo xtask` is another name
    /// for `cargo kmod`.
    Installed,
}

/// The address of a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUrl(String);

impl Source {
    /// The package of the tool.
    const PACKAGE: &str = "cargo-kmod";

    /// The inline table of a dependency; none where it can only be what is installed.
    pub(crate) fn dependency(&self) -> Option<String> {
        match self {
            Self::Version(version) => Some(toml(&version.to_string())),
            Self::Git(url) => Some(format!("{{ git = {} }}", toml(&url.0))),
            Self::Path(dir) => Some(format!("{{ path = {} }}", toml(dir.as_str()))),
            Self::Installed => None,
        }
    }

    /// The command that installs it.
    pub(crate) fn install(&self) -> String {
        let package = Self::PACKAGE;
        match self {
            Self::Version(version) => format!("cargo install --locked {package}@{version}"),
            Self::Git(url) => format!("cargo install --locked --git {} {package}", shell(&url.0)),
            Self::Path(dir) => format!("cargo install --locked --path {}", shell(dir.as_str())),
            Self::Installed => format!(
                "command -v {package} >/dev/null || {{ echo 'install {package} here, from where you have it' >&2; exit 1; }}"
            ),
        }
    }

    /// The directory, where it is one.
    pub fn path(&self) -> Option<&Utf8Path> {
        match self {
            Self::Path(dir) => Some(dir),
            Self::Version(_) | Self::Git(_) | Self::Installed => None,
        }
    }
}

impl GitUrl {
    /// Takes an address.
    ///
    /// # Errors
    ///
    /// Refused, if it has blanks, quotes or no scheme.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_ascii_graphic() && !"'\"\\`<>{}|^".contains(c);
        let scheme = ["https://", "http://", "ssh://", "git://", "file://"];
        let known = scheme.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if !known || !url.chars().all(plain) {
            let remedy = "give one such as https://example.org/cargo-kmod.git";
            return Err(Invalid::new(url, "is not the address of a git repository", remedy));
        }
        Ok(Self(url.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_a_dependency_and_a_command() {
        let git = Source::Git(GitUrl::parse("https://example.org/cargo-kmod.git").unwrap());
        for (source, dependency, command) in [
            (
                Source::Version(Version::parse("0.1.0").unwrap()),
                "\"0.1.0\"",
                "cargo install --locked cargo-kmod@0.1.0",
            ),
            (
                git,
                "{ git = \"https://example.org/cargo-kmod.git\" }",
                "cargo install --locked --git 'https://example.org/cargo-kmod.git' cargo-kmod",
            ),
            (
                Source::Path("/it's \"here\"/$(id)".into()),
                "{ path = \"/it's \\\"here\\\"/$(id)\" }",
                "cargo install --locked --path '/it'\\''s \"here\"/$(id)'",
            ),
        ] {
            assert_eq!(
                (source.dependency().as_deref(), source.install().as_str()),
                (Some(dependency), command)
            );
        }
        assert_eq!(Source::Installed.dependency(), None);
    }

    #[test]
    fn addresses_are_plain() {
        for url in [
            "",
            "https://",
            "/tmp/x",
            "https://a b",
            "https://a'b",
            "-c core.x=y",
            "ext::sh -c id",
            "https://a\nb",
        ] {
            assert!(GitUrl::parse(url).is_err(), "{url:?}");
        }
    }
}
