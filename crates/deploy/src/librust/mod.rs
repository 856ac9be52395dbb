// SPDX-License-Identifier: GPL-2.0
//! Packages of a kernel's Rust artefacts: `linux-librust-RELEASE`, as .deb and as .rpm. Beside the
//! distribution's own headers package it makes `/lib/modules/RELEASE/build` a directory that
//! modules in Rust are built against.

pub mod content;
mod deb;
mod made;
pub mod open;
mod order;
pub mod repository;
mod rpm;
mod words;

pub use made::{MadeArtefactPackage, PackageFormat};
pub use order::{ArtefactOrder, Packager};
