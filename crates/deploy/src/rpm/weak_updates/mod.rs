// SPDX-License-Identifier: GPL-2.0
//! The links that weak-modules makes: another kernel finds the module
//! `/lib/modules/BUILT_FOR/extra/NAME/X.ko` as `/lib/modules/KERNEL/weak-updates/NAME/X.ko`, if it
//! would load it there, with all others that are linked or its own.

mod judgement;
pub mod layout;
pub mod link;
#[cfg(test)]
mod made;
mod order;
pub mod plan;
pub mod reason;
pub mod work;
