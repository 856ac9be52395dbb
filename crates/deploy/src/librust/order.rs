// SPDX-License-Identifier: GPL-2.0
//! What packages of artefacts are to be made of, and where.

use std::str::FromStr;

use anyhow::Result;
use camino::Utf8Path;

use crate::librust::content::PackagedArtefacts;
use kernel::prepare::Prepared;
use report::failure::Failure;

/// Who makes a package: `NAME <MAIL>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packager(String);

impl Packager {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Packager {
    fn default() -> Self {
        Self("cargo kmod <root@localhost.localdomain>".to_owned())
    }
}

impl FromStr for Packager {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain =
            |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || "<>".contains(c));
        let parts = text.strip_suffix('>').and_then(|text| text.split_once(" <"));
        match parts {
            Some((name, mail)) if plain(name) && plain(mail) && mail.contains('@') => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("give it as NAME <MAIL>".to_owned()),
        }
    }
}

/// What is to be made of the artefacts of one kernel.
#[derive(Debug)]
pub struct ArtefactOrder<'a> {
    /// The kernel, and where packages for it are made.
    pub prepared: &'a Prepared,
    /// Its artefacts.
    pub packaged: &'a PackagedArtefacts,
    /// Where the packages go.
    pub output: &'a Utf8Path,
    /// Who makes them.
    pub packager: &'a Packager,
    /// The time of everything in them, in seconds since 1970.
    pub date: u64,
}

impl ArtefactOrder<'_> {
    /// The time of a package: `SOURCE_DATE_EPOCH`, otherwise when the distribution made the
    /// kernel's image.
    ///
    /// # Errors
    ///
    /// A usage error, if the variable is no number.
    pub fn date_of(prepared: &Prepared) -> Result<u64> {
        if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
            let invalid = || {
                Failure::usage(
                    format!("SOURCE_DATE_EPOCH={given:?}"),
                    "is not a number of seconds since 1970",
                )
            };
            return Ok(given.parse().map_err(|_| invalid())?);
        }
        let modified = fs_err::metadata(prepared.kdir.vmlinuz()?)?.modified()?;
        Ok(modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packager_has_a_name_and_an_address() {
        for (text, valid) in [
            ("Some Body <some.body@example.org>", true),
            ("<some.body@example.org>", false),
            ("Some Body", false),
            ("Some Body <somewhere>", false),
            ("Some\nDepends: x <a@b>", false),
            ("Some <a@b> <c@d>", false),
        ] {
            assert_eq!(text.parse::<Packager>().is_ok(), valid, "{text:?}");
        }
        let default = Packager::default();
        assert_eq!(default.as_str().parse(), Ok(default));
    }
}
