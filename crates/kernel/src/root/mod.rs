// SPDX-License-Identifier: GPL-2.0
//! Build roots: where compilers run. Either the host itself, or a distribution tree made for it.
//!
//! A command runs the same way in either, and is shown the same way in errors and with `-v`. A tree
//! is entered only in a private mount namespace (see [`enter`]), so that no mount outlives a
//! command.

mod access;
pub(crate) mod choice;
pub mod enter;
pub(crate) mod environment;
pub mod host;
pub mod mounts;
mod provided;
pub mod removal;
pub mod scratch;
pub(crate) mod terminal;
pub mod tree;

pub use access::Access;
pub use choice::RootChoice;
pub use provided::Root;
