// SPDX-License-Identifier: GPL-2.0
//! Takes the debug information out of a module and keeps it beside: `NAME.ko.debug`, found again by build-id and by the name and
//! checksum in `.gnu_debuglink`, as gdb(1), perf(1), crash(8), addr2line(1) and the kernel's `decode_stacktrace.sh` look for it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::sign::Unsigned;
use kmodfile::module::Module;
use kmodfile::signature::Trailer;
use report::failure::Failure;
use report::process::Cmd;

/// A module that nothing is taken out of any more, complete but for signing and compressing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    file: Utf8PathBuf,
    debug: Option<Utf8PathBuf>,
}

impl Stripped {
    /// A copy in `to` of what was `built`, for a project that wants its modules left as they are.
    pub fn left_as_built(built: &Utf8Path, to: &Utf8Path) -> Result<Self> {
        fs_err::copy(built, to)?;
        Ok(Self { file: to.to_owned(), debug: None })
    }

    /// Its debug information; none where it was built without.
    pub fn debug(&self) -> Option<&Utf8Path> {
        self.debug.as_deref()
    }

    /// The module as it may be signed.
    ///
    /// # Errors
    ///
    /// Refused, if the build signed it.
    pub fn unsigned(&self) -> Result<Unsigned> {
        Unsigned::read(&self.file)
    }

    /// Moves the module to `file`, where it is to be shipped without a signature of ours.
    pub fn leave_unsigned(self, file: &Utf8Path) -> Result<()> {
        Ok(fs_err::rename(self.file, file)?)
    }

    /// Removes the module, of which a signed one was made.
    pub fn discard(self) -> Result<()> {
        Ok(fs_err::remove_file(self.file)?)
    }
}

/// Where the debug information of the module `file` is kept.
pub fn debug_of(file: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{file}.debug"))
}

/// Writes `built`, which holds `module`, without debug information to `to`, and the debug information
/// to `debug`, the name under which the module will look for it. `run` runs binutils where the module
/// was built: they must know its architecture.
///
/// The section `.gnu_debuglink` is not loaded; to the kernel the module is the same.
///
/// # Errors
///
/// Refused, if the module is signed: the signature would be lost.
pub fn strip(
    built: &Utf8Path,
    module: &Module,
    to: &Utf8Path,
    debug: &Utf8Path,
    run: impl Fn(Cmd) -> Result<()>,
) -> Result<Stripped> {
    if module.signature != Trailer::Unsigned {
        return Err(Failure::refused(built.as_str(), "is signed, and stripping takes the signature off")
            .remedy("strip what was built, then sign it")
            .into());
    }
    let strip = Cmd::new("strip").args(["--strip-debug", "-o"]).args([to, built]);
    if !module.debug_info {
        run(strip)?;
        return Ok(Stripped { file: to.to_owned(), debug: None });
    }
    run(Cmd::new("objcopy").arg("--only-keep-debug").args([built, debug]))?;
    run(strip)?;
    run(Cmd::new("objcopy").arg(format!("--add-gnu-debuglink={debug}")).arg(to))?;
    Ok(Stripped { file: to.to_owned(), debug: Some(debug.to_owned()) })
}
