// SPDX-License-Identifier: GPL-2.0
//! Moves the debug information of a module to a separate file, `NAME.ko.debug`. gdb(1), perf(1),
//! crash(8), addr2line(1) and the kernel's `decode_stacktrace.sh` find it by build ID, and by the
//! name and checksum in `.gnu_debuglink`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::sign::Unsigned;
use kernel::toolchain::Toolchain;
use kmodfile::module::Module;
use kmodfile::signature::Trailer;
use report::failure::Failure;
use report::process::Cmd;

/// A stripped module, complete except for signature and compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    file: Utf8PathBuf,
    debug: Option<Utf8PathBuf>,
}

impl Stripped {
    /// A copy in `to` of the module `built`, for a project whose modules must not be stripped.
    pub fn left_as_built(built: &Utf8Path, to: &Utf8Path) -> Result<Self> {
        fs_err::copy(built, to)?;
        Ok(Self { file: to.to_owned(), debug: None })
    }

    /// The file with its debug information; `None` if it was built without.
    pub fn debug(&self) -> Option<&Utf8Path> {
        self.debug.as_deref()
    }

    /// The module, ready to be signed.
    ///
    /// # Errors
    ///
    /// Refused, if the build signed it.
    pub fn unsigned(&self) -> Result<Unsigned> {
        Unsigned::read(&self.file)
    }

    /// Moves the module to `file`, to be shipped unsigned.
    pub fn leave_unsigned(self, file: &Utf8Path) -> Result<()> {
        Ok(fs_err::rename(self.file, file)?)
    }

    /// Removes the module after a signed one was made from it.
    pub fn discard(self) -> Result<()> {
        Ok(fs_err::remove_file(self.file)?)
    }
}

/// The file with the debug information of the module `file`.
pub fn debug_of(file: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{file}.debug"))
}

/// Writes `built`, which holds `module`, without debug information to `to`, and the debug
/// information to `debug`, whose name is recorded in the module. `run` runs the `toolchain`'s
/// binutils where the module was built: those of a machine know no modules of another architecture.
///
/// The section `.gnu_debuglink` is not loaded, so the kernel sees the same module.
///
/// # Errors
///
/// Refused, if the module is signed: the signature would be lost.
pub fn strip(
    built: &Utf8Path,
    module: &Module,
    toolchain: &Toolchain,
    to: &Utf8Path,
    debug: &Utf8Path,
    run: impl Fn(Cmd) -> Result<()>,
) -> Result<Stripped> {
    if module.signature != Trailer::Unsigned {
        return Err(Failure::refused(built.as_str(), "is signed, and stripping would remove the signature")
            .remedy("strip what was built, then sign it")
            .into());
    }
    let strip = Cmd::new(toolchain.binutils("strip")).args(["--strip-debug", "-o"]).args([to, built]);
    if !module.debug_info {
        run(strip)?;
        return Ok(Stripped { file: to.to_owned(), debug: None });
    }
    let objcopy = || Cmd::new(toolchain.binutils("objcopy"));
    run(objcopy().arg("--only-keep-debug").args([built, debug]))?;
    run(strip)?;
    run(objcopy().arg(format!("--add-gnu-debuglink={debug}")).arg(to))?;
    Ok(Stripped { file: to.to_owned(), debug: Some(debug.to_owned()) })
}
