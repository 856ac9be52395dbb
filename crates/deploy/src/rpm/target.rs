// SPDX-License-Identifier: GPL-2.0
//! The kernel that a package is for, in the terms of kmod RPMs: `kversion` and `kvariant`.

use kernel::failures::OrFail as _;
use kmodfile::release::Release;
use report::failure::Failure;

/// A release, split in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmodTarget {
    /// The whole release.
    pub release: Release,
    /// The part that the variants of a kernel have in common, `6.12.107+deb13`.
    pub kversion: String,
    /// The rest with the separator, `-cloud-amd64`; empty for a plain kernel.
    variant: String,
}

impl KmodTarget {
    /// Splits a release where its flavour begins.
    pub fn of(release: &Release) -> Self {
        let text = release.as_str();
        let variant = match release.flavour() {
            "" => "",
            flavour => &text[text.len() - flavour.len() - 1..],
        };
        let kversion = text[..text.len() - variant.len()].to_owned();
        Self { release: release.clone(), kversion, variant: variant.to_owned() }
    }

    /// `kversion` with each of the words of `kvariants`, as they are passed to rpmbuild.
    pub fn all(kversion: &Release, kvariants: &str) -> Result<Vec<Self>, Failure> {
        let target = |word: &str| {
            let variant = word.trim_matches('"').to_owned();
            let release = format!("{kversion}{variant}").parse::<Release>().or_fail()?;
            Ok(Self { release, kversion: kversion.to_string(), variant })
        };
        kvariants.split_whitespace().map(target).collect()
    }

    /// As a word of `kvariants`.
    pub fn kvariant(&self) -> &str {
        if self.variant.is_empty() { "\"\"" } else { &self.variant }
    }

    /// The suffix of its package's name: empty, or a hyphen and the variant without its separator.
    pub fn suffix(&self) -> String {
        let word = self.variant.trim_start_matches(['-', '+', '.']);
        if word.is_empty() { String::new() } else { format!("-{word}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_split_where_the_flavour_begins() {
        for (release, kversion, kvariant, suffix) in [
            ("6.12.107+deb13-cloud-amd64", "6.12.107+deb13", "-cloud-amd64", "-cloud-amd64"),
            ("6.1.0-40-rt-amd64", "6.1.0-40", "-rt-amd64", "-rt-amd64"),
            ("6.18.44", "6.18.44", "\"\"", ""),
            ("5.14.0-611.el9.x86_64", "5.14.0-611.el9.x86_64", "\"\"", ""),
            ("6.17.1-300.fc43.x86_64+debug", "6.17.1-300.fc43.x86_64", "+debug", "-debug"),
        ] {
            let target = KmodTarget::of(&release.parse().unwrap());
            assert_eq!((target.kversion.as_str(), target.kvariant()), (kversion, kvariant), "{release}");
            assert_eq!(target.suffix(), suffix);
        }
    }

    #[test]
    fn variants_are_those_of_rpmbuild() {
        let targets = KmodTarget::all(&"5.14.0-611.el9.x86_64".parse().unwrap(), "\"\" +rt PAE").unwrap();
        let releases: Vec<_> = targets.iter().map(|target| target.release.as_str()).collect();
        assert_eq!(
            releases,
            ["5.14.0-611.el9.x86_64", "5.14.0-611.el9.x86_64+rt", "5.14.0-611.el9.x86_64PAE"]
        );
        assert_eq!(targets[1].suffix(), "-rt");
        assert!(KmodTarget::all(&"6.1".parse().unwrap(), "../x").is_err());
    }
}
