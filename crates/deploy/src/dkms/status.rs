// SPDX-License-Identifier: GPL-2.0
//! Reads the output of `dkms status`, of DKMS 2.8 to 3.4.

use serde::Serialize;

use crate::dkms::package::DkmsPackage;
use kmodfile::release::Release;

/// What DKMS reports about a package, for a kernel or as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    /// The package.
    #[serde(flatten)]
    pub package: DkmsPackage,
    /// The kernel; `None` for a package that is only added, or broken.
    pub kernel: Option<String>,
    /// Its state.
    pub state: DkmsState,
    /// The remark in brackets, such as that the kernel's own module was moved away.
    pub remark: Option<String>,
}

/// The state of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DkmsState {
    /// Its source is missing.
    Broken,
    /// Its source is known.
    Added,
    /// Its modules are built.
    Built,
    /// Its modules are installed.
    Installed,
    /// Modules that are installed for another kernel are linked to (weak-modules).
    InstalledWeak,
}

impl DkmsState {
    /// The word of `dkms status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Added => "added",
            Self::Built => "built",
            Self::Installed => "installed",
            Self::InstalledWeak => "installed-weak",
        }
    }

    /// The furthest state in `rows`, those of one package: for a kernel or, without one, for any. A
    /// package that is only added is so for every kernel.
    pub fn for_kernel(rows: &[StatusRow], release: Option<&Release>) -> Option<Self> {
        let of_release = |row: &&StatusRow| match (&row.kernel, release) {
            (Some(kernel), Some(release)) => kernel == release.as_str(),
            _ => true,
        };
        rows.iter().filter(of_release).map(|row| row.state).max()
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Broken, Self::Added, Self::Built, Self::Installed, Self::InstalledWeak];
        all.into_iter().find(|state| state.word() == text)
    }
}

/// Reads the lines of `dkms status`; others, such as warnings, are skipped.
pub fn parse(text: &str) -> Vec<StatusRow> {
    text.lines().filter_map(row).collect()
}

/// `NAME/VERSION, KERNEL, ARCH: STATE (REMARK)`; without kernel and architecture if only added, and
/// with a comma after the name in DKMS 2.
fn row(line: &str) -> Option<StatusRow> {
    let (subject, rest) = line.split_once(": ")?;
    let (word, remark) = rest.split_once(' ').unwrap_or((rest, ""));
    let state = DkmsState::parse(word)?;
    let mut parts = subject.split(", ");
    let first = parts.next()?;
    let (name, version) = match first.split_once('/') {
        Some(pair) => pair,
        None => (first, parts.next()?),
    };
    if name.is_empty() || version.is_empty() {
        return None;
    }
    let kernel = parts.next().map(str::to_owned);
    let remark = remark.trim().trim_matches(['(', ')']);
    Some(StatusRow {
        package: DkmsPackage { name: name.to_owned(), version: version.to_owned() },
        kernel,
        state,
        remark: (!remark.is_empty()).then(|| remark.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_version_are_read() {
        for (line, name, version, kernel, state, remark) in [
            ("x/1.0: added", "x", "1.0", None, DkmsState::Added, None),
            ("x, 1.0: added", "x", "1.0", None, DkmsState::Added, None),
            ("x/1.0: broken", "x", "1.0", None, DkmsState::Broken, None),
            ("x/1.0, 6.12.1-a, x86_64: built", "x", "1.0", Some("6.12.1-a"), DkmsState::Built, None),
            ("x, 1.0, 6.12.1-a, x86_64: installed", "x", "1.0", Some("6.12.1-a"), DkmsState::Installed, None),
            (
                "x/1+6.12.1+deb13, 6.12.1+deb13-a, x86_64: installed (Original modules exist)",
                "x",
                "1+6.12.1+deb13",
                Some("6.12.1+deb13-a"),
                DkmsState::Installed,
                Some("Original modules exist"),
            ),
            (
                "x, 1.0, 5.14.0, x86_64: installed-weak from 5.13.0",
                "x",
                "1.0",
                Some("5.14.0"),
                DkmsState::InstalledWeak,
                Some("from 5.13.0"),
            ),
            (
                "x/1.0, 6.1, x86_64: installed (WARNING! Diff: built and installed)",
                "x",
                "1.0",
                Some("6.1"),
                DkmsState::Installed,
                Some("WARNING! Diff: built and installed"),
            ),
        ] {
            let expected = StatusRow {
                package: DkmsPackage { name: name.into(), version: version.into() },
                kernel: kernel.map(str::to_owned),
                state,
                remark: remark.map(str::to_owned),
            };
            assert_eq!(parse(line), [expected], "{line}");
        }
    }

    #[test]
    fn other_lines_are_no_rows() {
        let text =
            "Error! x/1: Missing the module source directory\nDeprecated feature: CLEAN (x)\n\n: added\n";
        assert_eq!(parse(text), []);
    }
}
