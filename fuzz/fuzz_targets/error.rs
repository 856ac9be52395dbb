// SPDX-License-Identifier: GPL-2.0
//! An error reply with a symbolic link.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify::Content;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(&reply(0x0005, 0x8000_002d, body), &[Content::Symlink]);
});
