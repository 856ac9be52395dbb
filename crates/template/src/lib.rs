// SPDX-License-Identifier: GPL-2.0
//! The files of a new repository for an out-of-tree kernel module, and the templates that files of
//! every such repository come from: `kmod.spec`, `Makefile`.
//!
//! [`files`] takes a [`Request`] and gives a list of [`File`]s; whoever calls it writes them. What
//! has to be known of a kernel's source for a rebuild of one of its own modules is read from text
//! by [`in_tree`].
//!
//! This crate must not know where anything is on a disk, what a kernel release is, or how anything
//! is built: it has no file, process or network access. Its boundary is text: validated words in
//! ([`Name`], [`Text`], [`KernelPath`], …), files out. What was let in needs no quoting, or is
//! quoted for the place that it goes to.
//!
//! ```
//! use template::{Date, Kind, Name, Request, Source, Text, files};
//!
//! let request = Request {
//!     name: Name::parse("hello-world").unwrap(),
//!     kind: Kind::C,
//!     author: Text::parse("Jane Doe <jane@example.org>").unwrap(),
//!     date: Date::new(2026, 11, 26).unwrap(),
//!     tool: Source::Path("/usr/src/cargo-kmod".into()),
//!     cache: Name::parse("cargo-kmod").unwrap(),
//! };
//! let files = files(&request);
//! assert!(files.iter().any(|file| file.path == "hello_world.c"));
//! ```

pub mod ci;
pub mod in_tree;

mod date;
mod fill;
mod fix;
mod invalid;
mod makefile;
mod name;
mod repository;
mod source;
mod spec;
mod text;

pub use date::Date;
pub use fix::{Fix, Line};
pub use invalid::Invalid;
pub use makefile::{MAKEFILE_BODY, Makefile, makefile};
pub use name::{ConfigOption, KernelPath, ModuleName, Name, PackageName};
pub use repository::{File, Kind, PREPARED, Request, files};
pub use source::{GitUrl, Source};
pub use spec::{Spec, kmod_spec};
pub use text::{Licence, Text, Version};
