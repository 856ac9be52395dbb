// SPDX-License-Identifier: GPL-2.0
//! What modules are built for, and what the compilers are told for that.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use kernel::kdir::Kdir;
use kernel::origin::Origin;
use kmodfile::config::Config;
use kmodfile::release::Release;
use report::failure::Failure;

/// What modules are built for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be used.
    #[default]
    Use,
    /// To see what of them is reached: at the beginning of each block they call the kernel's
    /// recorder (Documentation/dev-tools/kcov.rst).
    Coverage,
}

/// What C is compiled with besides. With clang the kernel excludes `__init` functions from
/// everything that the compiler calls coverage, as that is what it erases stacks with, too
/// (include/linux/compiler-clang.h).
const HEADER: &str = "\
/* SPDX-License-Identifier: GPL-2.0 */
/* Made by cargo kmod: functions that run once are to be recorded as well. */
#undef __no_kstack_erase
#define __no_kstack_erase
";

/// The name of its file.
const NAME: &str = "recorded.h";

impl Purpose {
    /// Refuses a kernel without a recorder.
    pub(crate) fn require(self, release: &Release, config: &Config) -> Result<(), Failure> {
        if self == Self::Use || config.is_yes("CONFIG_KCOV") {
            return Ok(());
        }
        let reason = "records nothing of what modules reach (CONFIG_KCOV)";
        Err(Failure::refused(release.as_str(), reason)
            .remedy("cargo kmod kernel prepare --sanitize makes a kernel that does"))
    }

    /// Variables of make's, which Kbuild reads: also a part of what a build is known by.
    pub(crate) fn flags(self, kdir: &Kdir, config: &Config) -> Vec<(&'static str, String)> {
        let faults = matches!(kdir.stamp().origin, Origin::Sanitizing { .. });
        flags(self, faults, config.is_of_clang())
    }

    /// The text of the header that C is compiled with besides.
    pub(crate) fn header(self) -> Option<&'static str> {
        (self == Self::Coverage).then_some(HEADER)
    }

    /// The directory of that header, in that of a build.
    pub(crate) fn headers(self, place: &Utf8Path) -> Option<Utf8PathBuf> {
        self.header().map(|_| place.join("coverage"))
    }

    /// Writes it. A header that is there already is left alone, or make would compile again.
    pub(crate) fn write_header(self, place: &Utf8Path) -> Result<()> {
        let (Some(text), Some(dir)) = (self.header(), self.headers(place)) else { return Ok(()) };
        let file = dir.join(NAME);
        if !fs_err::read_to_string(&file).is_ok_and(|there| there == text) {
            fs_err::create_dir_all(&dir)?;
            fs_err::write(&file, text)?;
        }
        Ok(())
    }

    /// What is added to `KCFLAGS` for it.
    pub(crate) fn include(self, place: &Utf8Path) -> Option<String> {
        self.headers(place).map(|dir| format!(" -include {}", dir.join(NAME)))
    }
}

/// A kernel that finds faults is made without debug information, as it would be twice as large;
/// modules have it there, or what it finds could not be led back to their source.
///
/// LLVM leaves out calls of the recorder where others tell the same. With all of them each block
/// speaks for itself. gcc leaves none out.
fn flags(purpose: Purpose, finds_faults: bool, clang: bool) -> Vec<(&'static str, String)> {
    let coverage = purpose == Purpose::Coverage;
    let debug = finds_faults || coverage;
    let c = [(debug, "-g"), (coverage && clang, "-fsanitize-coverage=no-prune")];
    let rust = [(debug, "-Cdebuginfo=2"), (coverage, "-Cllvm-args=-sanitizer-coverage-prune-blocks=0")];
    let words = |all: &[(bool, &str)]| {
        all.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
    };
    let all = [
        ("KCFLAGS", words(&c)),
        ("KRUSTFLAGS", words(&rust)),
        ("KCOV_INSTRUMENT", words(&[(coverage, "y")])),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_told_what_it_is_for() {
        let shown = |purpose, faults, clang| {
            let all = flags(purpose, faults, clang);
            all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert!(shown(Purpose::Use, false, true).is_empty());
        assert_eq!(shown(Purpose::Use, true, true), ["KCFLAGS=-g", "KRUSTFLAGS=-Cdebuginfo=2"]);
        let rust = "KRUSTFLAGS=-Cdebuginfo=2 -Cllvm-args=-sanitizer-coverage-prune-blocks=0";
        let clang = ["KCFLAGS=-g -fsanitize-coverage=no-prune", rust, "KCOV_INSTRUMENT=y"];
        assert_eq!(shown(Purpose::Coverage, true, true), clang);
        assert_eq!(shown(Purpose::Coverage, false, false), ["KCFLAGS=-g", rust, "KCOV_INSTRUMENT=y"]);
    }

    #[test]
    fn the_header_is_written_once_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap();
        for purpose in [Purpose::Use, Purpose::Coverage] {
            purpose.write_header(place).unwrap();
            let include = purpose.include(place);
            assert_eq!(include.is_some(), purpose == Purpose::Coverage);
            let Some(include) = include else { continue };
            let file = include.strip_prefix(" -include ").unwrap();
            let written = || fs_err::metadata(file).unwrap().modified().unwrap();
            let before = written();
            purpose.write_header(place).unwrap();
            assert_eq!(written(), before);
        }
    }

    #[test]
    fn a_kernel_that_records_nothing_is_refused() {
        let release: Release = "7.2.13".parse().unwrap();
        for (config, good) in [("CONFIG_KCOV=y\n", true), ("# CONFIG_KCOV is not set\n", false)] {
            let config = Config::parse(config);
            assert_eq!(Purpose::Coverage.require(&release, &config).is_ok(), good);
            Purpose::Use.require(&release, &config).unwrap();
        }
    }
}
