// SPDX-License-Identifier: GPL-2.0
//! The kernels that a package, or one of its modules, is for: `BUILD_EXCLUSIVE_*` and `OBSOLETE_BY`
//! (dkms(8)).

use std::fmt;

use crate::error::DirectiveError;
use crate::pattern::Pattern;
use crate::reader::values::Values;

/// A kernel, as far as a `dkms.conf` may ask about it.
#[derive(Clone, Copy)]
pub struct TargetKernel<'a> {
    /// What `uname -r` prints on it.
    pub release: &'a str,
    /// What `uname -m` prints on it; `$arch` in a `dkms.conf`.
    pub architecture: &'a str,
    /// Whether an option of its configuration, named with `CONFIG_`, is `y` or `m`.
    pub enabled: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for TargetKernel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetKernel({}, {})", self.release, self.architecture)
    }
}

/// What a kernel must be like; `default()` takes every kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusive {
    kernel: Option<Pattern>,
    least: Option<String>,
    most: Option<String>,
    architecture: Option<Pattern>,
    options: Vec<String>,
}

impl Exclusive {
    /// Takes the directives with this index; those with index 0 are for the whole package.
    ///
    /// # Errors
    ///
    /// A pattern is not a regular expression.
    pub fn read(values: &Values, index: u32) -> Result<Self, DirectiveError> {
        let text = |name: &str| values.element(name, index).filter(|text| !text.is_empty());
        let owned = |name: &str| text(name).map(str::to_owned);
        // It is the older word for the other, and counts where no module has that (`read_conf`).
        let most =
            |values: &Values| values.array("BUILD_EXCLUSIVE_KERNEL_MAX").any(|(_, text)| !text.is_empty());
        let obsolete =
            || values.scalar("OBSOLETE_BY").filter(|text| !text.is_empty() && index == 0 && !most(values));
        Ok(Self {
            kernel: Pattern::of(values, "BUILD_EXCLUSIVE_KERNEL", index)?,
            least: owned("BUILD_EXCLUSIVE_KERNEL_MIN"),
            most: owned("BUILD_EXCLUSIVE_KERNEL_MAX").or_else(|| obsolete().map(str::to_owned)),
            architecture: Pattern::of(values, "BUILD_EXCLUSIVE_ARCH", index)?,
            options: text("BUILD_EXCLUSIVE_CONFIG")
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }

    /// The options that a kernel must have or, after a `!`, must not have.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// Why `kernel` is not one of those it is for; `None` if it is.
    pub fn excludes(&self, kernel: &TargetKernel<'_>) -> Option<String> {
        self.excludes_release(kernel).or_else(|| {
            let option = self.options.iter().find(|option| !met(option, kernel))?;
            Some(match option.strip_prefix('!') {
                Some(unwanted) => format!("it has {unwanted} (BUILD_EXCLUSIVE_CONFIG)"),
                None => format!("it does not have {option} (BUILD_EXCLUSIVE_CONFIG)"),
            })
        })
    }

    fn excludes_release(&self, kernel: &TargetKernel<'_>) -> Option<String> {
        let TargetKernel { release, architecture, .. } = kernel;
        let unlike = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().filter(|pattern| !pattern.matches(text)).cloned()
        };
        if let Some(pattern) = unlike(&self.kernel, release) {
            return Some(format!("it does not match {pattern} (BUILD_EXCLUSIVE_KERNEL)"));
        }
        if let Some(pattern) = unlike(&self.architecture, architecture) {
            return Some(format!("{architecture} does not match {pattern} (BUILD_EXCLUSIVE_ARCH)"));
        }
        let is = padded(release);
        if let Some(least) = self.least.as_ref().filter(|least| is < padded(least)) {
            return Some(format!("it is older than {least} (BUILD_EXCLUSIVE_KERNEL_MIN)"));
        }
        let most = self.most.as_ref().filter(|most| is > padded(most))?;
        Some(format!("it is newer than {most} (BUILD_EXCLUSIVE_KERNEL_MAX)"))
    }
}

/// Whether an option is there or, after a `!`, not there.
fn met(option: &str, kernel: &TargetKernel<'_>) -> bool {
    match option.strip_prefix('!') {
        Some(unwanted) => !(kernel.enabled)(unwanted),
        None => (kernel.enabled)(option),
    }
}

/// A version as DKMS compares it: as text, with every number padded to three digits.
fn padded(version: &str) -> String {
    let mut text = String::new();
    let mut rest = version;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 {
            text.push_str(&format!("{:0>3}", &rest[..digits]));
        }
        let other = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        text.push_str(&rest[digits..other]);
        rest = &rest[other..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::DkmsConf;

    fn excludes(text: &str, architecture: &str) -> Option<String> {
        let values = DkmsConf::parse(text).unwrap().evaluate(&Default::default()).unwrap().values;
        let kernel = TargetKernel {
            release: "6.12.107+deb13-cloud-amd64",
            architecture,
            enabled: &|option| ["CONFIG_A", "CONFIG_M"].contains(&option),
        };
        Exclusive::read(&values, 0).unwrap().excludes(&kernel)
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(padded("2.6.9-1cvs20"), "002.006.009-001cvs020");
        assert!(padded("6.9") < padded("6.12.107+deb13") && padded("4") < padded("6.12"));
        assert!(padded("6.12") < padded("6.12.1") && padded("5.18.0-rc1") > padded("5.18"));
    }

    #[test]
    fn the_architecture_is_the_kernels() {
        let text = "BUILD_EXCLUSIVE_ARCH='x86_64|aarch64'";
        assert_eq!((excludes(text, "x86_64"), excludes(text, "aarch64")), (None, None));
        let reason = excludes(text, "riscv64").unwrap();
        assert_eq!(reason, "riscv64 does not match x86_64|aarch64 (BUILD_EXCLUSIVE_ARCH)");
    }

    #[test]
    fn kernels_are_excluded_with_the_reason() {
        for (text, reason) in [
            ("BUILD_EXCLUSIVE_KERNEL='^6\\.'", None),
            ("BUILD_EXCLUSIVE_KERNEL='^(4|5)\\.'", Some("BUILD_EXCLUSIVE_KERNEL")),
            ("BUILD_EXCLUSIVE_KERNEL_MIN=6.3", None),
            ("BUILD_EXCLUSIVE_KERNEL_MIN=6.13", Some("older than 6.13")),
            ("BUILD_EXCLUSIVE_KERNEL_MAX=6.13", None),
            ("BUILD_EXCLUSIVE_KERNEL_MAX=6.2", Some("newer than 6.2")),
            ("OBSOLETE_BY=6.2", Some("newer than 6.2")),
            ("OBSOLETE_BY=6.2\nBUILD_EXCLUSIVE_KERNEL_MAX=7", None),
            ("OBSOLETE_BY=6.2\nBUILD_EXCLUSIVE_KERNEL_MAX[1]=7", None),
            ("BUILD_EXCLUSIVE_ARCH='x86_64|arm64'", None),
            ("BUILD_EXCLUSIVE_ARCH=arm64", Some("BUILD_EXCLUSIVE_ARCH")),
            ("BUILD_EXCLUSIVE_CONFIG='CONFIG_A CONFIG_M'", None),
            ("BUILD_EXCLUSIVE_CONFIG='CONFIG_A CONFIG_N'", Some("does not have CONFIG_N")),
            ("BUILD_EXCLUSIVE_CONFIG='!CONFIG_N'", None),
            ("BUILD_EXCLUSIVE_CONFIG='!CONFIG_A'", Some("it has CONFIG_A")),
        ] {
            let found = excludes(text, "x86_64");
            assert_eq!(found.is_some(), reason.is_some(), "{text}: {found:?}");
            assert!(reason.is_none_or(|reason| found.is_some_and(|found| found.contains(reason))), "{text}");
        }
    }
}
