// SPDX-License-Identifier: GPL-2.0
//! A QUERY_DIRECTORY reply, its entries read as each class.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verify::Content;
use verify::directory::Class;
use verify_fuzz::{judge, reply};

fuzz_target!(|body: &[u8]| {
    judge(
        &reply(0x000e, 0, body),
        &[
            Content::Directory(Class::Directory),
            Content::Directory(Class::Full),
            Content::Directory(Class::IdFull),
            Content::Directory(Class::Posix),
        ],
    );
});
