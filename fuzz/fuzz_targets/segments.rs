// SPDX-License-Identifier: GPL-2.0
//! Segments of one connection, in any order and of any place: the first byte of each says which
//! side, whether it opens the connection, and what it acknowledges; then its place and its length.
#![no_main]

use capture::{Link, Survey};
use libfuzzer_sys::fuzz_target;
use verify_fuzz::{counted, segment};

fuzz_target!(|bytes: &[u8]| {
    let mut survey = Survey::new(capture::PORT, true);
    let mut rest = bytes;
    let mut number = 0;
    while let Some(([kind, place, length], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        number += 1;
        survey.packet(0, number, Link::Ip, &segment(*kind, *place, payload));
    }
    counted(survey);
});
