// SPDX-License-Identifier: GPL-2.0
//! A file that is said to be a capture: whatever it holds, each judged reply is counted once.
#![no_main]

use capture::Survey;
use capture::file::packets;
use libfuzzer_sys::fuzz_target;
use verify_fuzz::counted;

fuzz_target!(|file: &[u8]| {
    let mut survey = Survey::new(capture::PORT, true);
    let mut last = 0;
    packets(file, |number, link, bytes| {
        assert_eq!(number, last + 1);
        last = number;
        survey.packet(0, number, link, bytes);
    })
    .ok();
    counted(survey);
});
