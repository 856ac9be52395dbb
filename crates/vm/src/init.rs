// SPDX-License-Identifier: GPL-2.0
//! The init that runs inside the machine: a program, and what steps it knows.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use anyhow::Result;
use camino::Utf8Path;
use kmodfile::architecture::Architecture;
use object::Object as _;
use report::failure::Failure;
use vm_protocol::NoExtraStep;

/// How the tool's own init for an architecture was made by the build script; whoever has an init of
/// their own makes it so too.
#[derive(Clone, Copy, Debug)]
pub struct OwnInit {
    architecture: Architecture,
    /// Empty, if it was not.
    program: &'static [u8],
    /// What it is compiled for.
    pub target: &'static str,
    /// The compiler's flags.
    pub flags: &'static str,
}

const OWN: [OwnInit; 2] = [
    OwnInit {
        architecture: Architecture::Amd64,
        program: include_bytes!(env!("VM_INIT_X86_64")),
        target: env!("VM_INIT_X86_64_TARGET"),
        flags: env!("VM_INIT_X86_64_FLAGS"),
    },
    OwnInit {
        architecture: Architecture::Arm64,
        program: include_bytes!(env!("VM_INIT_AARCH64")),
        target: env!("VM_INIT_AARCH64_TARGET"),
        flags: env!("VM_INIT_AARCH64_FLAGS"),
    },
];

impl OwnInit {
    /// That for machines of `architecture`.
    ///
    /// # Errors
    ///
    /// Missing, if this program was built without it.
    pub fn of(architecture: Architecture) -> Result<&'static Self, Failure> {
        let own = OWN.iter().find(|own| own.architecture == architecture).expect("there is one for each");
        own.required()
    }

    fn required(&'static self) -> Result<&'static Self, Failure> {
        if !self.program.is_empty() {
            return Ok(self);
        }
        let Self { architecture, target, .. } = self;
        let reason = format!("this program was built where Rust had no standard library for {target}");
        Err(Failure::missing(format!("the init of {architecture} machines"), reason)
            .remedy(format!("rustup target add {target}, and build this program again")))
    }
}

/// An init whose steps beyond those of [`vm_protocol::GuestStep`] are of type `X`.
#[derive(Clone)]
pub struct Init<X = NoExtraStep> {
    architecture: Architecture,
    program: Cow<'static, [u8]>,
    steps: PhantomData<fn(X)>,
}

impl Init {
    /// The tool's own for machines of `architecture`, which is inside this program.
    ///
    /// # Errors
    ///
    /// Missing, if this program was built without it.
    pub fn own(architecture: Architecture) -> Result<Self, Failure> {
        let program = Cow::Borrowed(OwnInit::of(architecture)?.program);
        Ok(Self { architecture, program, steps: PhantomData })
    }
}

impl<X> Init<X> {
    /// Reads the program of somebody's own init; that it knows the steps of `X`, its caller has to
    /// know.
    ///
    /// # Errors
    ///
    /// Refused, if it is no program of an architecture that is booted.
    pub fn read(program: &Utf8Path) -> Result<Self> {
        let bytes = fs_err::read(program)?;
        let architecture = architecture_of(&bytes).ok_or_else(|| {
            Failure::refused(program.as_str(), "is no program that a machine can begin with")
        })?;
        Ok(Self { architecture, program: Cow::Owned(bytes), steps: PhantomData })
    }

    /// What machines it is for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The program.
    pub fn program(&self) -> &[u8] {
        &self.program
    }
}

/// What machines an ELF program is for.
fn architecture_of(program: &[u8]) -> Option<Architecture> {
    match object::File::parse(program).ok()?.architecture() {
        object::Architecture::X86_64 => Some(Architecture::Amd64),
        object::Architecture::Aarch64 => Some(Architecture::Arm64),
        _ => None,
    }
}

impl<X> fmt::Debug for Init<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Init({}, {} bytes)", self.architecture, self.program.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::failure::Exit;

    #[test]
    fn the_own_init_needs_nothing_but_itself() {
        let native = Architecture::native().unwrap();
        for architecture in Architecture::ALL {
            let Ok(init) = Init::own(architecture) else {
                assert_ne!(architecture, native, "the one for this machine is always there");
                eprintln!("built without the init of {architecture} machines");
                continue;
            };
            let file = object::File::parse(init.program()).unwrap();
            assert_eq!(architecture_of(init.program()), Some(architecture));
            assert_eq!(file.kind(), object::ObjectKind::Executable, "it is not relocated");
            assert!(file.imports().unwrap().next().is_none(), "it is linked statically");
        }
    }

    #[test]
    fn a_program_built_without_an_init_says_what_brings_it() {
        static ABSENT: OwnInit =
            OwnInit { architecture: Architecture::Arm64, program: b"", target: "a-b-linux-musl", flags: "" };
        let failure = ABSENT.required().unwrap_err();
        assert_eq!(failure.exit, Exit::Missing);
        assert!(failure.to_string().starts_with("the init of arm64 machines: "), "{failure}");
        assert!(failure.remedy.unwrap().starts_with("rustup target add a-b-linux-musl, "));
    }

    #[test]
    fn anybody_elses_init_is_read_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("init");
        assert!(Init::<NoExtraStep>::read(&file).is_err());
        fs_err::write(&file, "program").unwrap();
        assert!(Init::<NoExtraStep>::read(&file).unwrap_err().to_string().contains("is no program"));
        let program = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        fs_err::write(&file, &program).unwrap();
        let init = Init::<NoExtraStep>::read(&file).unwrap();
        assert_eq!(Some(init.architecture()), Architecture::native());
        assert_eq!(init.program(), program);
    }
}
