// SPDX-License-Identifier: GPL-2.0
//! Any message, header and all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify_fuzz::judge;

fuzz_target!(|message: &[u8]| judge(message, &[]));
