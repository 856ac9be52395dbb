// SPDX-License-Identifier: GPL-2.0
//! Why bytes cannot be read as a kernel module.

use std::fmt;

use crate::foreign::Foreign;

/// Why bytes cannot be read as a kernel module. Its text goes after the name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// They are not an ELF file.
    NotElf,
    /// They are something else that is known.
    Foreign(Foreign),
    /// They begin like an ELF file, but are cut off or contradict themselves; how.
    Damaged(String),
    /// They are an ELF file, but not a kernel module; what it lacks.
    NotAModule(&'static str),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("is not a kernel module: not an ELF file"),
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Damaged(why) => write!(f, "is damaged: {why}"),
            Self::NotAModule(missing) => write!(f, "is an ELF file, but not a kernel module: {missing}"),
        }
    }
}

impl std::error::Error for ParseError {}
