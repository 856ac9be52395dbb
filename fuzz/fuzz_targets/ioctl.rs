// SPDX-License-Identifier: GPL-2.0
//! An IOCTL reply, its output read as everything that the client asks for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify::Content;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(
        &reply(0x000b, 0, body),
        &[
            Content::Interfaces,
            Content::Referrals(4),
            Content::Reparse,
            Content::ResumeKey,
            Content::Ranges(true),
        ],
    );
});
