// SPDX-License-Identifier: GPL-2.0
//! Why a `dkms.conf` cannot be read, and why a directive in it cannot be followed.

use std::fmt;

use crate::reader::values::Values;

/// Text that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is there.
    pub reason: String,
    /// Whether a shell could carry it out; if not, it is simply wrong.
    pub needs_shell: bool,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for ReadError {}

/// An element of a directive, and where the file sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectivePlace {
    /// The directive.
    pub directive: &'static str,
    /// Its number.
    pub index: u32,
    /// The line of the file, from 1; `None` if a shell evaluated it, or the user set it.
    pub line: Option<usize>,
}

impl DirectivePlace {
    /// Where `values` have an element of `directive` from.
    pub(crate) fn of(values: &Values, directive: &'static str, index: u32) -> Self {
        Self { directive, index, line: values.line(directive, index) }
    }
}

impl fmt::Display for DirectivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.directive, self.index)
    }
}

/// A directive whose value makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectiveError {
    /// A module has no `BUILT_MODULE_NAME`.
    Unnamed {
        /// The module's number.
        index: u32,
        /// How many modules the file describes.
        count: u32,
    },
    /// Two modules have the same name and place.
    Twice {
        /// Where the second is.
        place: DirectivePlace,
        /// Its name.
        name: String,
    },
    /// Two modules are installed under one name.
    InstalledTwice {
        /// Where the second is.
        place: DirectivePlace,
        /// Its name.
        name: String,
        /// The number of the first.
        first: usize,
        /// The name of the first, which may have dashes where the second has underscores.
        other: String,
    },
    /// A module's name that cannot be a file name, or has an ending.
    Name {
        /// Where.
        place: DirectivePlace,
        /// The name.
        name: String,
    },
    /// A module's name with a directory before it, which DKMS then also installs it into.
    NoInstalledName {
        /// Where.
        place: DirectivePlace,
        /// The name.
        name: String,
    },
    /// A path that leads out of the directory it is in.
    Outside {
        /// Where.
        place: DirectivePlace,
        /// The path.
        path: String,
        /// The directory.
        of: &'static str,
    },
    /// Text that is not a regular expression.
    Pattern {
        /// Where.
        place: DirectivePlace,
        /// The text.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A value that is a placeholder (`#MODULE_VERSION#`); of a version, in a directory that says
    /// none either.
    Placeholder {
        /// The directive.
        directive: String,
        /// The package's name; empty, if that is what is not known.
        package: String,
        /// What stands in the file.
        stated: String,
    },
}

impl DirectiveError {
    /// The line of the file, from 1, that is at fault, if one is.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Twice { place, .. }
            | Self::InstalledTwice { place, .. }
            | Self::Name { place, .. }
            | Self::NoInstalledName { place, .. }
            | Self::Outside { place, .. }
            | Self::Pattern { place, .. } => place.line,
            Self::Unnamed { .. } | Self::Placeholder { .. } => None,
        }
    }
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { index, count } => {
                let described = if *count == 1 { "module is" } else { "modules are" };
                write!(f, "BUILT_MODULE_NAME[{index}] is missing; {count} {described} described")
            }
            Self::Twice { place, name } => write!(f, "{place}: {name} a second time"),
            Self::InstalledTwice { place, name, first, other } => {
                let both = if name == other {
                    format!("{name} is the name of module {first} as well")
                } else {
                    format!("{name} is, as {other}, the name of module {first}: a dash is an underscore")
                };
                write!(f, "{place}: {both}; one would overwrite or hide the other")
            }
            Self::Name { place, name } => {
                write!(f, "{place}: {name:?} is not a plain module name without .ko")
            }
            Self::NoInstalledName { place, name } => {
                write!(
                    f,
                    "{place}: {name} has a directory and no DEST_MODULE_NAME: no DKMS puts such a module away"
                )
            }
            Self::Outside { place, path, of } => write!(f, "{place}: {path} is outside {of}"),
            Self::Pattern { place, text, reason } => {
                write!(f, "{place}: {text:?} is not a valid regular expression: {reason}")
            }
            Self::Placeholder { directive, stated, .. } => {
                write!(f, "{directive} is {stated}, a placeholder that packaging is to replace")
            }
        }
    }
}

impl std::error::Error for DirectiveError {}
