// SPDX-License-Identifier: GPL-2.0
//! A kernel's configuration: the `.config` file (Documentation/kbuild/kconfig.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The options that are set, by name with `CONFIG_`; values as written, quotes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, String>);

/// An option in which two configurations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionDifference<'a> {
    /// Its name, with `CONFIG_`.
    pub option: &'a str,
    /// Its value in the first configuration, without quotes; `None` if it is not set there.
    pub first: Option<&'a str>,
    /// Its value in the second.
    pub second: Option<&'a str>,
}

impl Config {
    /// Parses the text of a `.config`.
    ///
    /// ```
    /// let config = kmodfile::config::Config::parse("CONFIG_SMP=y\n# CONFIG_RUST is not set\n");
    /// assert!(config.is_yes("CONFIG_SMP"));
    /// assert_eq!(config.get("CONFIG_RUST"), None);
    /// ```
    pub fn parse(text: &str) -> Self {
        let option = |line: &str| {
            let (name, value) = line.split_once('=')?;
            name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
        };
        Self(text.lines().filter_map(option).collect())
    }

    /// An option's value without quotes; `None` if it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim_matches('"'))
    }

    /// An option's value as it is written, quotes included.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether an option is `y`.
    pub fn is_yes(&self, name: &str) -> bool {
        self.get(name) == Some("y")
    }

    /// Whether an option is `y` or `m`.
    pub fn is_enabled(&self, name: &str) -> bool {
        matches!(self.get(name), Some("y" | "m"))
    }

    /// The options that are set and their values, without quotes, in the order of their names.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.trim_matches('"')))
    }

    /// How many options are `y` or `m`.
    pub fn enabled(&self) -> usize {
        self.0.values().filter(|value| matches!(value.as_str(), "y" | "m")).count()
    }

    /// The compiler's command: the first word of `CONFIG_CC_VERSION_TEXT`,
    /// `x86_64-linux-gnu-gcc-14`.
    pub fn compiler(&self) -> Option<&str> {
        self.get("CONFIG_CC_VERSION_TEXT")?.split(' ').next()
    }

    /// Whether its compiler is clang, so that the kernel's `make` takes all its tools from LLVM
    /// (Documentation/kbuild/llvm.rst).
    pub fn is_of_clang(&self) -> bool {
        self.is_yes("CONFIG_CC_IS_CLANG")
    }

    /// The options in which `other` differs, in the order of their names.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<OptionDifference<'a>> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let compared = names.into_iter().map(|option| OptionDifference {
            option,
            first: self.get(option),
            second: other.get(option),
        });
        compared.filter(|compared| compared.first != compared.second).collect()
    }
}

impl fmt::Display for Config {
    /// A line for each option that is set: what [`Config::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}={value}"))
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
CONFIG_VFAT=m
# CONFIG_MODVERSIONS is not set
CONFIG_LOCALVERSION=\"\"
";

    #[test]
    fn options_are_read() {
        let config = Config::parse(TEXT);
        assert!(
            config.is_yes("CONFIG_RUST")
                && !config.is_yes("CONFIG_VFAT")
                && !config.is_yes("CONFIG_MODVERSIONS")
        );
        assert!(config.is_enabled("CONFIG_VFAT") && !config.is_enabled("CONFIG_LOCALVERSION"));
        assert_eq!(config.compiler(), Some("x86_64-linux-gnu-gcc-14"));
        assert_eq!(config.get("CONFIG_LOCALVERSION"), Some(""));
        assert_eq!(Config::parse(&config.to_string()), config);
        assert_eq!((config.enabled(), config.options().count()), (2, 4));
    }

    #[test]
    fn differences_name_both_values() {
        let (a, b) = (Config::parse(TEXT), Config::parse("CONFIG_RUST=y\nCONFIG_VFAT=y\n"));
        let vfat = OptionDifference { option: "CONFIG_VFAT", first: Some("m"), second: Some("y") };
        assert!(a.differences(&b).contains(&vfat));
        assert!(a.differences(&a).is_empty());
    }
}
