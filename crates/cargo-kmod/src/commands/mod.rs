// SPDX-License-Identifier: GPL-2.0
//! One file a command: each turns the user's words into calls of the nouns, and their results into
//! what is printed.

pub mod build;
pub mod completions;
pub mod dkms;
pub mod doctor;
pub mod insmod;
pub mod inspect;
pub mod install;
pub mod kernel;
pub mod key;
pub mod man;
pub mod new;
pub mod patch;
pub mod rpm;
pub mod secure_boot;
pub mod setup;
pub mod sign;
pub mod status;
pub mod uninstall;
pub mod weak_modules;
