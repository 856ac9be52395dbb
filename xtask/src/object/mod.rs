// SPDX-License-Identifier: GPL-2.0
//! A built module: the `.ko` file and what it says of itself.

pub mod modinfo;
pub mod sign;
