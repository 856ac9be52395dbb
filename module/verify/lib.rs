// SPDX-License-Identifier: GPL-2.0
//! The verifier as a host crate.
#![no_std]
