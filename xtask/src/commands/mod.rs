// SPDX-License-Identifier: GPL-2.0
//! The commands that only this repository has.

pub mod bench;
pub mod demo;
pub mod test;
pub mod trial;
pub mod verify;
