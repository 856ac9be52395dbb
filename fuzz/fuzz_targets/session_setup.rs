// SPDX-License-Identifier: GPL-2.0
//! A SESSION_SETUP reply that asks for more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(&reply(0x0001, 0xc000_0016, body), &[]);
});
