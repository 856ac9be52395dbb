// SPDX-License-Identifier: GPL-2.0
//! Writes one byte past the end of what it allocated.

use kernel::prelude::*;

module! {
    type: QuietRust,
    name: "quiet_rust",
    authors: ["nobody"],
    description: "writes one byte past the end of what it allocated",
    license: "GPL",
}

struct QuietRust;

impl kernel::Module for QuietRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut bytes = KBox::new([0u8; 13], GFP_KERNEL)?;
        let past_the_end = core::hint::black_box(bytes.as_mut_ptr()).wrapping_add(13);
        // SAFETY: It is not; that is the fault.
        unsafe { past_the_end.write_volatile(1) };
        Ok(Self)
    }
}
