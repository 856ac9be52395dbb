// SPDX-License-Identifier: GPL-2.0
//! Reads a function's prototype from the BTF of a kernel module, and says which known shape it has.
//!
//! Kbuild compiles this with `$(HOSTRUSTC)` and nothing else, so it has no dependencies; the tool
//! uses the same code as a library. Everything here is a pure function over bytes, and the bytes
//! are not trusted: every offset is checked, every chain of types has a bound.
#![forbid(unsafe_code)]

pub mod btf;
pub mod elf;
pub mod shape;

use std::fmt;

pub use btf::{Btf, Prototype};
pub use shape::Shape;

/// The function that the guard hooks.
pub const HOOKED: &str = "smb2_check_message";

/// Why no shape could be told. Each names the object, the reason, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is at fault: a file, or a part of one.
    pub object: String,
    /// Why.
    pub reason: String,
    /// What helps.
    pub remedy: String,
}

impl Failure {
    /// A failure of `object`.
    pub fn new(
        object: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            object: object.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.object, self.reason, self.remedy)
    }
}

impl std::error::Error for Failure {}

/// A file's name and content; the name is only for messages.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// What to call it.
    pub name: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Finds the prototype of `function` in the BTF of `module` (an ELF file, not compressed).
///
/// A module's BTF is split: it numbers its types after those of a base. The base is the module's
/// own `.BTF.base` where it has one; otherwise the kernel's, taken from `kernel`: a `vmlinux` with
/// a `.BTF` section, or bare BTF as in `/sys/kernel/btf/vmlinux`.
///
/// # Errors
///
/// Whatever of the above is missing, malformed, or does not fit together.
pub fn find(
    module: Named<'_>,
    kernel: Option<Named<'_>>,
    function: &str,
) -> Result<Prototype, Failure> {
    let malformed = |name: &str| {
        let name = name.to_string();
        move |reason: String| {
            Failure::new(
                name,
                reason,
                "use the cifs.ko of this very kernel, unmodified",
            )
        }
    };
    let split = elf::section(module.bytes, ".BTF").map_err(malformed(module.name))?.ok_or_else(|| {
        Failure::new(
            module.name,
            "it has no .BTF section",
            "use the module as the distribution ships it (CONFIG_DEBUG_INFO_BTF_MODULES=y, not stripped)",
        )
    })?;
    let own_base = elf::section(module.bytes, ".BTF.base").map_err(malformed(module.name))?;

    let base = match (own_base, kernel) {
        (Some(bytes), _) => Some(Btf::parse(bytes, None).map_err(malformed(module.name))?),
        (None, Some(kernel)) => {
            let bytes = if btf::is_btf(kernel.bytes) {
                kernel.bytes
            } else {
                elf::section(kernel.bytes, ".BTF")
                    .map_err(malformed(kernel.name))?
                    .ok_or_else(|| {
                        Failure::new(
                            kernel.name,
                            "it has no .BTF section",
                            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
                        )
                    })?
            };
            Some(Btf::parse(bytes, None).map_err(malformed(kernel.name))?)
        }
        (None, None) => None,
    };
    let needs_base = base.is_none();
    Btf::parse(split, base.as_ref()).and_then(|btf| btf.function(function)).map_err(|reason| {
        if needs_base {
            Failure::new(
                module.name,
                format!("its BTF builds on the kernel's, which was not given ({reason})"),
                "give the kernel's BTF: a vmlinux with a .BTF section, or /sys/kernel/btf/vmlinux of the same release",
            )
        } else {
            Failure::new(module.name, reason, "use a cifs.ko and a kernel BTF of the same release")
        }
    })
}
