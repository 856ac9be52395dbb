// SPDX-License-Identifier: GPL-2.0
//! Which Slurm it is.

/// The oldest that is known to have all that is asked of it: `--export` of names alone, arrays, and
/// `--signal=B:`, in the form that they have today.
const OLDEST: (u32, u32) = (20, 11);

/// What `sbatch --version` says, such as `slurm-wlm 22.05.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlurmVersion(u32, u32);

impl SlurmVersion {
    /// Reads it; none, if it is none of Slurm's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = text.trim().strip_prefix("slurm")?.split(' ').nth(1)?;
        let mut parts = number.split('.');
        let mut part = || parts.next()?.parse().ok();
        Some(Self(part()?, part()?))
    }

    /// Whether it is too old.
    pub(super) fn is_too_old(self) -> bool {
        (self.0, self.1) < OLDEST
    }

    /// The oldest that will do, for people.
    pub(super) fn oldest() -> String {
        format!("{}.{:02}", OLDEST.0, OLDEST.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version, old) in [
            ("slurm-wlm 22.05.8\n", Some(SlurmVersion(22, 5)), false),
            ("slurm 24.11.5", Some(SlurmVersion(24, 11)), false),
            ("slurm 20.11.9", Some(SlurmVersion(20, 11)), false),
            ("slurm-wlm 18.08.5-2", Some(SlurmVersion(18, 8)), true),
            ("Version: 22.05.8", None, false),
            ("slurm", None, false),
            ("", None, false),
        ] {
            assert_eq!(SlurmVersion::parse(text), version, "{text}");
            assert!(version.is_none_or(|version| version.is_too_old() == old));
        }
        assert_eq!(SlurmVersion::oldest(), "20.11");
    }
}
