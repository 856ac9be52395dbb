// SPDX-License-Identifier: GPL-2.0
//! Does, while it is loaded, the wrong thing that its parameter numbers. Each is a function of its
//! own, so that a trace says which.

use core::hint::black_box;

use kernel::prelude::*;
use kernel::sync::{Arc, Completion, new_mutex, new_spinlock};
use kernel::time::{Delta, delay::fsleep};

/// Several of what is lost: one that still lies on a stack is not lost to kmemleak.
const COUNT: usize = 16;

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

#[inline(never)]
fn writes_past_the_end() -> Result {
    let mut bytes = KBox::new([0u8; 13], GFP_KERNEL)?;
    let past_the_end = black_box(bytes.as_mut_ptr()).wrapping_add(13);
    // SAFETY: It is not; that is the fault.
    unsafe { past_the_end.write_volatile(1) };
    Ok(())
}

#[inline(never)]
fn reads_what_is_freed() -> Result {
    let number = KBox::new(7u64, GFP_KERNEL)?;
    let freed = black_box(&raw const *number);
    drop(number);
    // SAFETY: It is not; that is the fault.
    black_box(unsafe { freed.read_volatile() });
    Ok(())
}

#[inline(never)]
fn frees_twice() -> Result {
    let bytes = black_box(KBox::into_raw(KBox::new([0u8; 64], GFP_KERNEL)?));
    for _ in 0..2 {
        // SAFETY: It is, the first time; that is the fault.
        drop(unsafe { KBox::from_raw(bytes) });
    }
    Ok(())
}

#[inline(never)]
fn loses() -> Result {
    for _ in 0..COUNT {
        black_box(KBox::leak(KBox::new([0u8; 48], GFP_KERNEL)?));
    }
    Ok(())
}

#[inline(never)]
fn keeps_a_user() -> Result {
    for _ in 0..COUNT {
        let counted = Arc::new([0u8; 40], GFP_KERNEL)?;
        core::mem::forget(black_box(counted.clone()));
    }
    Ok(())
}

#[inline(never)]
fn sleeps_locked() -> Result {
    let lock = KBox::pin_init(new_spinlock!(0), GFP_KERNEL)?;
    let _guard = lock.lock();
    fsleep(Delta::from_millis(20));
    Ok(())
}

#[inline(never)]
fn allocates_locked() -> Result {
    let lock = KBox::pin_init(new_spinlock!(0), GFP_KERNEL)?;
    let _guard = lock.lock();
    black_box(KBox::new(7u64, GFP_KERNEL)?);
    Ok(())
}

#[inline(never)]
fn locks_in_both_orders() -> Result {
    let first = KBox::pin_init(new_mutex!(0, "first"), GFP_KERNEL)?;
    let second = KBox::pin_init(new_mutex!(0, "second"), GFP_KERNEL)?;
    for (outer, inner) in [(&first, &second), (&second, &first)] {
        let _outer = outer.lock();
        let _inner = inner.lock();
    }
    Ok(())
}

#[inline(never)]
fn locks_twice() -> Result {
    let lock = KBox::pin_init(new_spinlock!(0), GFP_KERNEL)?;
    let _once = lock.lock();
    let _twice = lock.lock();
    Ok(())
}

#[inline(never)]
fn waits_for_ever() -> Result {
    let never = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
    never.wait_for_completion();
    Ok(())
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
            6 => writes_past_the_end()?,
            7 => reads_what_is_freed()?,
            8 => frees_twice()?,
            9 => loses()?,
            10 => keeps_a_user()?,
            11 => sleeps_locked()?,
            12 => allocates_locked()?,
            13 => locks_in_both_orders()?,
            14 => locks_twice()?,
            15 => waits_for_ever()?,
            _ => return Err(EINVAL),
        }
        Ok(Self)
    }
}
