// SPDX-License-Identifier: GPL-2.0
//! A NEGOTIATE reply.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(&reply(0x0000, 0, body), &[]);
});
