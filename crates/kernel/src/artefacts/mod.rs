// SPDX-License-Identifier: GPL-2.0
//! A kernel's Rust artefacts: what building modules in Rust reads of a build tree, and the headers
//! of most distributions lack.
//!
//! They are made by [`crate::prepare`], or somebody else made them and packaged them; in either
//! case they are proven before anything is built against them.

mod collection;
mod compiler;
mod glob;
mod manifest;
mod supply;

pub use collection::Artefacts;
pub(crate) use collection::NEEDED;
pub(crate) use collection::{discard_by_products, is_of_every_flavour, note_of};
pub use compiler::rustc_of;
pub use glob::{ArtefactGlob, GLOBS};
pub use manifest::{MANIFEST, Manifest};
pub use supply::SuppliedArtefacts;
