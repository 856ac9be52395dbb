// SPDX-License-Identifier: GPL-2.0
//! Does, while it is loaded, the wrong thing that its parameter numbers. Each is a function of its
//! own, so that a trace says which.

use core::hint::black_box;

use kernel::prelude::*;

module! {
    type: Seeded,
    name: "seeded_rust",
    authors: ["nobody"],
    description: "does the wrong thing that it is told to do",
    license: "GPL",
    params: {
        what: u8 {
            default: 0,
            description: "which of the wrong things it does",
        },
    },
}

struct Seeded;

#[inline(never)]
fn panics() {
    panic!("on purpose");
}

#[inline(never)]
fn indexes(at: usize) -> u8 {
    black_box([1u8, 2, 3])[at]
}

#[inline(never)]
fn writes_nowhere() {
    let nowhere = black_box(core::ptr::null_mut::<u8>());
    // SAFETY: It is not; that is the fault.
    unsafe { nowhere.write_volatile(1) };
}

#[inline(never)]
fn goes_deep(depth: usize) -> usize {
    let frame = black_box([depth; 32]);
    goes_deep(frame[0] + 1) + black_box(frame)[depth % 32]
}

impl kernel::Module for Seeded {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        match module_parameters::what.value().clone() {
            0 => {}
            1 => panics(),
            2 => {
                black_box(indexes(black_box(7)));
            }
            3 => writes_nowhere(),
            4 => {
                black_box(goes_deep(1));
            }
            5 => return Err(ENODEV),
            _ => return Err(EINVAL),
        }
        Ok(Self)
    }
}
