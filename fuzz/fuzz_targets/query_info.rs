// SPDX-License-Identifier: GPL-2.0
//! A QUERY_INFO reply, its output read as everything that the client asks for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify::Content;
use verify::security::Use;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(
        &reply(0x0010, 0, body),
        &[
            Content::Attributes(None),
            Content::Attributes(Some(b"one")),
            Content::WslAttributes,
            Content::Posix,
            Content::Security(Use::Mapped),
            Content::Security(Use::Rewritten),
        ],
    );
});
