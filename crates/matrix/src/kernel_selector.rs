// SPDX-License-Identifier: GPL-2.0
//! Which kernels are meant: by words, all of which hold.

use std::fmt;
use std::str::FromStr;

use glob::Pattern;
use kmodfile::architecture::Architecture;
use serde::{Deserialize, Serialize};

/// Kernels by what they are. Words, parted by blanks, all of which hold:
///
/// - a release, or a glob over releases: `7.2.13+deb14-cloud-amd64`, `6.12.*-rt-*`
/// - `suite:trixie-backports`: what this part of the archive has; `*` and `?` as in a glob
/// - `arch:NAME`: kernels for this architecture; without it, for this machine's
/// - `newest:3`: of these, the newest three of each flavour; without a glob, of the flavour that is
///   the default where no kernel is named
/// - `installed`, `running`, `prepared`: kernels of this machine
/// - `sanitize`, or `--sanitize`: the kernels that stand for these and find faults
///
/// ```
/// use matrix::kernel_selector::KernelSelector;
///
/// let selector: KernelSelector = "suite:sid newest:2 --sanitize".parse().unwrap();
/// assert!(selector.sanitize);
/// assert_eq!(selector.newest, Some(2));
/// assert!("newest:none".parse::<KernelSelector>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelSelector {
    /// As it was written.
    pub text: String,
    /// Over releases.
    pub release: Option<Pattern>,
    /// Over the parts of an archive.
    pub suite: Option<Pattern>,
    /// What they are for; `None` is this machine.
    pub architecture: Option<Architecture>,
    /// So many of each flavour.
    pub newest: Option<usize>,
    /// Kernels of this machine.
    pub place: Option<KernelPlace>,
    /// The kernels that stand for them.
    pub sanitize: bool,
}

/// Where a kernel is already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelPlace {
    /// Installed on this machine.
    Installed,
    /// What it runs.
    Running,
    /// Prepared, so that modules can be built for it.
    Prepared,
}

/// Text that names no kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotKernels {
    /// The whole text.
    pub text: String,
    /// Why not.
    pub reason: String,
}

impl fmt::Display for NotKernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernels {:?}: {}", self.text, self.reason)
    }
}

impl std::error::Error for NotKernels {}

impl KernelSelector {
    /// The one release that is meant, where that is how it is named.
    pub fn exact(&self) -> Option<&str> {
        let pattern = self.release.as_ref()?.as_str();
        (!pattern.contains(['*', '?', '['])).then_some(pattern)
    }

    /// Whether a release of the archive is among those meant, as far as its name and its part of
    /// the archive tell.
    pub fn takes(&self, release: &str, suite: &str) -> bool {
        self.release.as_ref().is_none_or(|pattern| pattern.matches(release))
            && self.suite.as_ref().is_none_or(|pattern| pattern.matches(suite))
    }
}

impl FromStr for KernelSelector {
    type Err = NotKernels;

    fn from_str(text: &str) -> Result<Self, NotKernels> {
        let mut selector = Self { text: text.to_owned(), ..Self::default() };
        for word in text.split_whitespace() {
            selector.add(word).map_err(|reason| NotKernels { text: text.to_owned(), reason })?;
        }
        if selector == (Self { text: text.to_owned(), ..Self::default() }) {
            return Err(NotKernels { text: text.to_owned(), reason: "names none".to_owned() });
        }
        Ok(selector)
    }
}

impl KernelSelector {
    fn add(&mut self, word: &str) -> Result<(), String> {
        let twice =
            |is: bool| if is { Err(format!("{word:?} is a second word of its kind")) } else { Ok(()) };
        match word.split_once(':') {
            Some(("suite", suite)) if !suite.is_empty() => {
                twice(self.suite.is_some())?;
                self.suite = Some(pattern(suite)?);
            }
            Some(("arch", name)) => {
                twice(self.architecture.is_some())?;
                let known = || Architecture::ALL.map(Architecture::debian).join(", ");
                let found = Architecture::named(name);
                self.architecture =
                    Some(found.ok_or_else(|| format!("{name:?} is none of the architectures {}", known()))?);
            }
            Some(("newest", count)) => {
                twice(self.newest.is_some())?;
                let count = count.parse().ok().filter(|count| *count > 0);
                self.newest = Some(count.ok_or_else(|| format!("{word:?} is not newest:N, N from 1 on"))?);
            }
            Some((key, _)) => {
                return Err(format!("{key:?} is no key; there are suite:, arch: and newest:"));
            }
            None => self.add_plain(word)?,
        }
        Ok(())
    }

    fn add_plain(&mut self, word: &str) -> Result<(), String> {
        let place = match word {
            "sanitize" | "--sanitize" => {
                self.sanitize = true;
                return Ok(());
            }
            "installed" => Some(KernelPlace::Installed),
            "running" => Some(KernelPlace::Running),
            "prepared" => Some(KernelPlace::Prepared),
            _ => None,
        };
        let taken = if place.is_some() { self.place.is_some() } else { self.release.is_some() };
        if taken {
            return Err(format!("{word:?} is a second word of its kind"));
        }
        match place {
            Some(place) => self.place = Some(place),
            None if !word.starts_with(|c: char| c.is_ascii_digit() || "*?[".contains(c)) => {
                return Err(format!("{word:?} is neither a release, nor a glob, nor a word that is known"));
            }
            None => self.release = Some(pattern(word)?),
        }
        Ok(())
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("{text:?}: {}", error.msg))
}

impl TryFrom<String> for KernelSelector {
    type Error = NotKernels;

    fn try_from(text: String) -> Result<Self, NotKernels> {
        text.parse()
    }
}

impl From<KernelSelector> for String {
    fn from(selector: KernelSelector) -> Self {
        selector.text
    }
}

impl fmt::Display for KernelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_together() {
        let all: KernelSelector = "suite:trixie* 7.2.*-cloud-* newest:2 sanitize".parse().unwrap();
        assert!(all.takes("7.2.11+deb13-cloud-amd64", "trixie-backports"));
        assert!(!all.takes("7.2.11+deb13-amd64", "trixie-backports"));
        assert!(!all.takes("7.2.11+deb13-cloud-amd64", "sid"));
        assert_eq!(all.exact(), None);
        let one: KernelSelector = "7.2.11+deb13-amd64".parse().unwrap();
        assert_eq!(one.exact(), Some("7.2.11+deb13-amd64"));
        let here: KernelSelector = "prepared 7.2*".parse().unwrap();
        assert_eq!(here.place, Some(KernelPlace::Prepared));
        assert_eq!(here.to_string(), "prepared 7.2*");
    }

    #[test]
    fn what_names_no_kernels_is_refused_with_the_word() {
        for (text, said) in [
            ("", "names none"),
            ("  ", "names none"),
            ("newest:0", "newest:0"),
            ("newest:x", "newest:x"),
            ("newest:1 newest:2", "second word"),
            ("arch:vax", "vax"),
            ("suit:sid", "suit"),
            ("suite:", "suite"),
            ("latest", "latest"),
            ("7.2 7.3", "7.3"),
            ("installed running", "running"),
            ("7.[", "7.["),
        ] {
            let error = text.parse::<KernelSelector>().unwrap_err();
            assert!(error.reason.contains(said), "{text}: {error}");
        }
    }
}
