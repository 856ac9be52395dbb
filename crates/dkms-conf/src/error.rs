// SPDX-License-Identifier: GPL-2.0
//! Why a `dkms.conf` cannot be read, and why a directive in it cannot be followed.

use std::fmt;

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
        /// The number of the second.
        index: usize,
        /// Its name.
        name: String,
    },
    /// Two modules are installed under one name.
    InstalledTwice {
        /// The number of the second.
        index: usize,
        /// Its name.
        name: String,
        /// The number of the first.
        first: usize,
        /// The name of the first, which may have dashes where the second has underscores.
        other: String,
    },
    /// A module's name that cannot be a file name, or has an ending.
    Name {
        /// The directive, with its number.
        directive: String,
        /// The name.
        name: String,
    },
    /// A path that leads out of the directory it is in.
    Outside {
        /// The directive, with its number.
        directive: String,
        /// The path.
        path: String,
        /// The directory.
        of: &'static str,
    },
    /// Text that is not a regular expression.
    Pattern {
        /// The directive.
        directive: String,
        /// The text.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A version that is a placeholder (`#MODULE_VERSION#`), in a directory that says none either.
    Placeholder {
        /// The package's name.
        package: String,
        /// What stands in the file.
        stated: String,
    },
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { index, count } => {
                write!(f, "BUILT_MODULE_NAME[{index}] is missing; {count} modules are described")
            }
            Self::Twice { index, name } => write!(f, "BUILT_MODULE_NAME[{index}]: {name} a second time"),
            Self::InstalledTwice { index, name, first, other } => {
                let both = if name == other {
                    format!("{name} is the name of module {first} as well")
                } else {
                    format!("{name} is, as {other}, the name of module {first}: a dash is an underscore")
                };
                write!(f, "DEST_MODULE_NAME[{index}]: {both}; one would overwrite or hide the other")
            }
            Self::Name { directive, name } => {
                write!(f, "{directive}: {name:?} is not a plain module name without .ko")
            }
            Self::Outside { directive, path, of } => write!(f, "{directive}: {path} is outside {of}"),
            Self::Pattern { directive, text, reason } => {
                write!(f, "{directive}: {text:?} is not a valid regular expression: {reason}")
            }
            Self::Placeholder { stated, .. } => {
                write!(f, "PACKAGE_VERSION is {stated}, a placeholder that packaging is to replace")
            }
        }
    }
}

impl std::error::Error for DirectiveError {}
