// SPDX-License-Identifier: GPL-2.0
//! A kernel's configuration: the `.config` file (Documentation/kbuild/kconfig.rst).

use std::collections::BTreeMap;

/// The set options, by name with `CONFIG_`; values as written, quotes included. What is not set is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, String>);

/// An option in which two configurations differ: name, value in the first, value in the second.
pub type Difference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

impl Config {
    /// Reads the text of a `.config`.
    pub fn parse(text: &str) -> Self {
        let option = |line: &str| {
            let (name, value) = line.split_once('=')?;
            name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
        };
        Self(text.lines().filter_map(option).collect())
    }

    /// An option's value without quotes.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim_matches('"'))
    }

    /// Whether an option is built in.
    pub fn is_yes(&self, name: &str) -> bool {
        self.get(name) == Some("y")
    }

    /// The compiler's command: the first word of `CONFIG_CC_VERSION_TEXT`, `x86_64-linux-gnu-gcc-14`.
    pub fn compiler(&self) -> Option<&str> {
        self.get("CONFIG_CC_VERSION_TEXT")?.split(' ').next()
    }

    /// Options that differ.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<Difference<'a>> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names
            .into_iter()
            .map(|name| (name.as_str(), self.get(name), other.get(name)))
            .filter(|(_, ours, theirs)| ours != theirs)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
#
# Linux/x86 7.2.11 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT=\"x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0\"
CONFIG_RUST=y
CONFIG_CIFS=m
# CONFIG_MODVERSIONS is not set
CONFIG_LOCALVERSION=\"\"
";

    #[test]
    fn options_are_read() {
        let config = Config::parse(TEXT);
        assert!(
            config.is_yes("CONFIG_RUST")
                && !config.is_yes("CONFIG_CIFS")
                && !config.is_yes("CONFIG_MODVERSIONS")
        );
        assert_eq!(config.compiler(), Some("x86_64-linux-gnu-gcc-14"));
        assert_eq!(config.get("CONFIG_LOCALVERSION"), Some(""));
    }

    #[test]
    fn differences_name_both_values() {
        let (a, b) = (Config::parse(TEXT), Config::parse("CONFIG_RUST=y\nCONFIG_CIFS=y\n"));
        assert!(a.differences(&b).contains(&("CONFIG_CIFS", Some("m"), Some("y"))));
        assert!(a.differences(&a).is_empty());
    }
}
