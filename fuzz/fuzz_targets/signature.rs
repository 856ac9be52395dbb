// SPDX-License-Identifier: GPL-2.0
//! What follows a module: splitting it off neither panics nor hangs, and leaves the module as it
//! was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use kmodfile::signature::{MARKER, Trailer, split};

fuzz_target!(|message: &[u8]| {
    let mut block = [0; 12];
    block[2] = 2;
    block[8..].copy_from_slice(&(message.len() as u32).to_be_bytes());
    let image = [b"module", message, &block, MARKER].concat();
    let (module, trailer) = split(&image);
    assert_eq!(module, b"module");
    if let Trailer::Signed(signature) = trailer {
        assert!(!signature.signers.is_empty());
    }
});
