// SPDX-License-Identifier: GPL-2.0
//! Several messages in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify_fuzz::split;

fuzz_target!(|message: &[u8]| split(message));
