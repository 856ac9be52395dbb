// SPDX-License-Identifier: GPL-2.0
//! Errors of `kmodfile`, which knows no exit statuses and no commands, as what the user is told:
//! the one place where each gets its status and its remedy.

use kmodfile::error::ParseError;
use kmodfile::file::{FileError, FileProblem};
use kmodfile::modinfo::WrongVermagic;
use kmodfile::release::NotARelease;
use report::failure::{Exit, Failure};

/// An error that can be told to the user as a [`Failure`].
pub trait IntoFailure {
    /// The same error with its exit status and remedy.
    fn into_failure(self) -> Failure;
}

/// A result whose error can be told to the user.
pub trait OrFail<T> {
    /// The value, or the error as a [`Failure`].
    ///
    /// # Errors
    ///
    /// Those of the result itself.
    fn or_fail(self) -> Result<T, Failure>;
}

impl<T, E: IntoFailure> OrFail<T> for Result<T, E> {
    fn or_fail(self) -> Result<T, Failure> {
        self.map_err(E::into_failure)
    }
}

/// A file that is cut off or overwritten.
const AGAIN: &str = "it is truncated or corrupted: build it, or fetch its package, again";

impl IntoFailure for FileError {
    fn into_failure(self) -> Failure {
        let again = || Some(AGAIN.to_owned());
        let (exit, remedy) = match &self.problem {
            FileProblem::NotFound => (Exit::Usage, None),
            FileProblem::Io(_) => (Exit::Failed, None),
            FileProblem::NotAFile | FileProblem::TooLarge => (Exit::Refused, None),
            FileProblem::Compressed { .. } => (Exit::Refused, again()),
            FileProblem::Content(ParseError::Damaged(_)) => (Exit::Refused, again()),
            FileProblem::Content(ParseError::Foreign(foreign)) => {
                (Exit::Refused, Some(foreign.remedy(self.path.as_str())))
            }
            FileProblem::Content(ParseError::NotElf | ParseError::NotAModule(_)) => (Exit::Refused, None),
        };
        let failure = Failure::new(exit, self.path.as_str(), self.problem.to_string());
        remedy.into_iter().fold(failure, Failure::remedy)
    }
}

impl IntoFailure for WrongVermagic {
    fn into_failure(self) -> Failure {
        Failure::refused(self.file.as_str(), self.reason())
            .remedy(format!("build it for that kernel: cargo kmod build --kernel {}", self.release))
    }
}

impl IntoFailure for NotARelease {
    fn into_failure(self) -> Failure {
        Failure::usage(format!("release {:?}", self.text), NotARelease::REASON)
            .remedy("cargo kmod kernel list")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmodfile::compression::Compression;
    use kmodfile::file::ModuleFile;
    use kmodfile::modinfo::Modinfo;
    use kmodfile::release::Release;

    #[test]
    fn what_is_not_a_module_has_its_status_and_remedy() {
        let file = |bytes: &[u8]| ModuleFile::of("x.ko".into(), bytes.to_vec());
        let parsed = |bytes: &[u8]| file(bytes).unwrap().module().map(drop);
        let cut_off = Compression::Xz.compress(&[0; 1000]).unwrap();
        for (result, exit, text, remedy) in [
            (ModuleFile::read("/nonexistent.ko".into()).map(drop), Exit::Usage, "no such file", None),
            (ModuleFile::read("/dev/zero".into()).map(drop), Exit::Refused, "not a regular file", None),
            (file(&cut_off[..40]).map(drop), Exit::Refused, "x.ko: cannot be decompressed", Some(AGAIN)),
            (parsed(b"\x7fELF"), Exit::Refused, "x.ko: is damaged", Some(AGAIN)),
            (parsed(b"#!/bin/sh\n"), Exit::Refused, "x.ko: is not a kernel module", None),
        ] {
            let failure = result.or_fail().unwrap_err();
            assert_eq!((failure.exit, failure.remedy.as_deref()), (exit, remedy), "{failure}");
            assert!(failure.to_string().contains(text), "{failure}");
        }
    }

    #[test]
    fn a_failure_says_what_the_error_says() {
        let error = "../etc".parse::<Release>().unwrap_err();
        let said = error.to_string();
        let failure = error.into_failure();
        assert_eq!((failure.exit, failure.to_string()), (Exit::Usage, said));
        let release: Release = "7.2.1".parse().unwrap();
        let error = Modinfo::default().require_vermagic("x.ko".into(), &release).unwrap_err();
        let said = error.to_string();
        let failure = error.into_failure();
        assert_eq!((failure.exit, failure.to_string()), (Exit::Refused, said));
        assert!(failure.remedy.unwrap().ends_with("--kernel 7.2.1"));
    }
}
