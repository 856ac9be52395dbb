// SPDX-License-Identifier: GPL-2.0
//! The init that runs inside the machine: a program, and what steps it knows.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use anyhow::Result;
use camino::Utf8Path;
use vm_protocol::NoExtraStep;

/// The tool's own init, which the build script has made.
const X86_64: &[u8] = include_bytes!(env!("VM_INIT_X86_64"));

/// An init whose steps beyond those of [`vm_protocol::GuestStep`] are of type `X`.
#[derive(Clone)]
pub struct Init<X = NoExtraStep> {
    program: Cow<'static, [u8]>,
    steps: PhantomData<fn(X)>,
}

impl Init {
    /// The tool's own, which is inside this program.
    pub fn own() -> Self {
        Self { program: Cow::Borrowed(X86_64), steps: PhantomData }
    }
}

impl<X> Init<X> {
    /// Reads the program of somebody's own init; that it knows the steps of `X`, its caller has to
    /// know.
    pub fn read(program: &Utf8Path) -> Result<Self> {
        Ok(Self { program: Cow::Owned(fs_err::read(program)?), steps: PhantomData })
    }

    /// The program.
    pub fn program(&self) -> &[u8] {
        &self.program
    }
}

impl<X> fmt::Debug for Init<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Init({} bytes)", self.program.len())
    }
}

#[cfg(test)]
mod tests {
    use object::Object as _;

    use super::*;

    #[test]
    fn the_own_init_needs_nothing_but_itself() {
        let init = Init::own();
        let file = object::File::parse(init.program()).unwrap();
        assert_eq!(file.architecture(), object::Architecture::X86_64);
        assert_eq!(file.kind(), object::ObjectKind::Executable, "it is not relocated");
        assert!(file.imports().unwrap().next().is_none(), "it is linked statically");
    }

    #[test]
    fn anybody_elses_init_is_read_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("init");
        assert!(Init::<NoExtraStep>::read(&file).is_err());
        fs_err::write(&file, "program").unwrap();
        assert_eq!(Init::<NoExtraStep>::read(&file).unwrap().program(), b"program");
    }
}
