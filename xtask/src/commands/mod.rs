// SPDX-License-Identifier: GPL-2.0
//! One file a command: each turns the user's words into calls of the nouns, and their results into
//! what is printed.

pub mod bench;
pub mod build;
pub mod demo;
pub mod doctor;
pub mod insmod;
pub mod kernel;
pub mod patch;
pub mod rpm;
pub mod test;
