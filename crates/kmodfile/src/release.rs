// SPDX-License-Identifier: GPL-2.0
//! The name of a kernel: what `uname -r` prints.

use std::fmt;
use std::str::FromStr;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;

/// A kernel release, such as `7.2.11+deb13-cloud-amd64`. It is safe as a file name and as a word on
/// make's command line.
///
/// ```
/// use kmodfile::release::Release;
///
/// let release: Release = "7.2.11+deb13-cloud-amd64".parse().unwrap();
/// assert_eq!((release.flavour(), release.line()), ("cloud-amd64", "7.2"));
/// assert!("../etc".parse::<Release>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release(String);

impl Release {
    /// The release as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The flavour of a release. Debian's: `cloud-amd64` of `7.2.11+deb13-cloud-amd64`, of
    /// `6.1.0-40-cloud-amd64`, or of `7.3-cloud-amd64`, as experimental has it. Fedora's and RHEL's
    /// variant: `rt-debug` of `5.14.0-570.el9.x86_64+rt-debug`. SUSE's: `default` of
    /// `6.4.0-150600.21-default`.
    pub fn flavour(&self) -> &str {
        let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if let Some((_, rest)) = self.0.split_once("+deb").filter(|(_, rest)| is_digit(rest)) {
            return rest.split_once('-').map_or("", |(_, flavour)| flavour);
        }
        let of_machine = |plain: &str| {
            Architecture::ALL.iter().any(|known| plain.rsplit('.').next() == Some(known.machine()))
        };
        if let Some((_, variant)) = self.0.split_once('+').filter(|(plain, _)| of_machine(plain)) {
            return variant;
        }
        let Some((_, rest)) = self.0.split_once('-') else { return "" };
        let names_architecture = |text: &str| {
            Architecture::ALL.iter().any(|known| text.split('-').any(|part| part == known.debian()))
        };
        let (abi, flavour) = rest.split_once('-').unwrap_or((rest, ""));
        let is_abi = abi.trim_start_matches("rc").starts_with(|c: char| c.is_ascii_digit());
        if is_abi || !names_architecture(rest) { flavour } else { rest }
    }

    /// The part of a release that all flavours share, as they are built from the same source:
    /// `7.2.11+deb13` of `7.2.11+deb13-cloud-amd64`.
    pub fn without_flavour(&self) -> &str {
        self.0.strip_suffix(self.flavour()).unwrap_or(&self.0).trim_end_matches(['-', '+'])
    }

    /// The kernel line, as Debian names its source packages: `7.2` of `7.2.11+deb13-amd64`.
    pub fn line(&self) -> &str {
        let end =
            self.0.match_indices(|c: char| !c.is_ascii_digit()).nth(1).map_or(self.0.len(), |(at, _)| at);
        &self.0[..end]
    }
}

/// Text that is not a kernel release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotARelease {
    /// The text.
    pub text: String,
}

impl NotARelease {
    /// The reason, without the text.
    pub const REASON: &str = "not what `uname -r` prints: digits first, then letters, digits and + - . _ ~";
}

impl fmt::Display for NotARelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {:?}: {}", self.text, Self::REASON)
    }
}

impl std::error::Error for NotARelease {}

impl FromStr for Release {
    type Err = NotARelease;

    fn from_str(text: &str) -> Result<Self, NotARelease> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._~".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_digit());
        if begins && text.len() <= 64 && text.chars().all(allowed) && !text.contains("..") {
            return Ok(Self(text.to_owned()));
        }
        Err(NotARelease { text: text.to_owned() })
    }
}

impl TryFrom<String> for Release {
    type Error = NotARelease;

    fn try_from(text: String) -> Result<Self, NotARelease> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.0
    }
}

impl AsRef<Utf8Path> for Release {
    fn as_ref(&self) -> &Utf8Path {
        Utf8Path::new(&self.0)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn parts_of_releases() {
        for (text, flavour, line) in [
            ("7.2.11+deb13-cloud-amd64", "cloud-amd64", "7.2"),
            ("7.3.4+deb13-rt-amd64", "rt-amd64", "7.3"),
            ("6.12.107+deb13-amd64", "amd64", "6.12"),
            ("6.1.0-40-cloud-amd64", "cloud-amd64", "6.1"),
            ("6.18.44", "", "6.18"),
            ("7.3-amd64", "amd64", "7.3"),
            ("7.3-cloud-amd64", "cloud-amd64", "7.3"),
            ("7.3-arm64-16k", "arm64-16k", "7.3"),
            ("7.3-rc7-rt-amd64", "rt-amd64", "7.3"),
            ("5.14.0-611.el9.x86_64", "", "5.14"),
            ("6.17.1-300.fc43.x86_64+debug", "debug", "6.17"),
            ("5.14.0-611.el9.x86_64+rt-debug", "rt-debug", "5.14"),
            ("5.14.0-611.el9.aarch64+64k", "64k", "5.14"),
            ("6.4.0-150600.21-default", "default", "6.4"),
            ("7.2.13-mine", "", "7.2"),
        ] {
            assert_eq!((release(text).flavour(), release(text).line()), (flavour, line), "{text}");
            let common = release(text).without_flavour().to_owned();
            let flavoured = ["-", "+"].map(|between| format!("{common}{between}{flavour}"));
            assert!(
                if flavour.is_empty() { common == text } else { flavoured.contains(&text.to_owned()) },
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_leave_its_directory_is_not_a_release() {
        for text in ["", "../etc", "7.2/..", "7..2", "-rf", "7.2 x", "7.2;reboot", "7.2\n"] {
            assert!(text.parse::<Release>().is_err(), "{text:?}");
        }
    }
}
