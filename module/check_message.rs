// SPDX-License-Identifier: GPL-2.0
//! The hook on `smb2_check_message` of `cifs`: how that function is called, and what runs in its
//! place for a reply that the client must not parse.

use super::{
    bindings,
    counters,
    judge,
    kprobe::{
        Handler,
        Next,
        Probe,
        Target, //
    },
    registers::Registers, //
};
use core::slice;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// Made by `module/prototype`, from the BTF of the `cifs.ko` at hand.
mod built_for {
    include!(concat!(env!("CIFS_FIX_GENERATED"), "/shape.rs"));
}

pub(crate) use built_for::PROTOTYPE;
use built_for::SHAPE;

/// The shapes of the function that are known; one of them is chosen when building.
#[allow(dead_code)]
#[derive(Clone, Copy)]
enum Shape {
    /// `(buf, len, server)`.
    BufLenServer,
    /// `(buf, pdu_len, len, server)`.
    BufPduLenLenServer,
}

/// The function. The module's name keeps the probe off one of the same name elsewhere.
const SYMBOL: &CStr = c"cifs:smb2_check_message";

/// What the function answers when the reply is malformed. The client takes anything but 0 so.
const MALFORMED: c_int = 1;

/// The function that runs in its place: one of the kernel's own, for a thread that is interrupted
/// in it may return long after this module has gone. It reads nothing of what it is called with,
/// and answers 1. That it is still declared so is checked here; that it does answer so, by
/// [`target`].
const REPLACEMENT: unsafe extern "C" fn(*const bindings::dentry) -> c_int =
    bindings::always_delete_dentry;

/// Longer than any message that `cifs` receives into one buffer: `CIFSMaxBufSize` is at most
/// 127 KiB, and a header comes on top. The client refuses a longer one by itself.
const MAX_LEN: usize = 128 * 1024;

impl Shape {
    /// Where the message begins that the function was called with, and how many bytes of it were
    /// received.
    fn message(self, registers: &Registers) -> (*const u8, usize) {
        let [buf, second, third, _] = registers.arguments();
        // An `unsigned int` is the lower half of its register.
        let [second, third] = [second as c_uint, third as c_uint];
        let len = match self {
            Self::BufLenServer => second,
            // `pdu_len` counts more than this message when it came encrypted, and `len` is that of
            // another message when the client dumps one for debugging. The buffer holds at least
            // the lesser of the two.
            Self::BufPduLenLenServer => second.min(third),
        };
        (buf as *const u8, len as usize)
    }
}

/// The message that the function was called with; `None` when there is none, or it is longer than
/// any that the client takes.
///
/// # Safety
///
/// For all of `'a`, the first argument in `registers`, unless it is null, must point to as many
/// initialised bytes as [`Shape::message`] says, to which nothing writes.
unsafe fn message<'a>(registers: &Registers) -> Option<&'a [u8]> {
    let (start, len) = SHAPE.message(registers);
    if start.is_null() || len > MAX_LEN {
        return None;
    }
    // SAFETY: The caller vouches for `len` bytes that nothing writes to, and 128 KiB are not too
    // many for a slice.
    Some(unsafe { slice::from_raw_parts(start, len) })
}

/// Judges every message that the function is called with.
///
/// # Invariants
///
/// It handles probes on [`SYMBOL`] only, for [`probe`] makes the only ones.
pub(crate) struct Judge(());

impl Handler for Judge {
    fn before(&self, registers: &Registers) -> Next {
        counters::seen();
        // SAFETY: By the type invariant, these are the arguments of `smb2_check_message`. Its
        // callers give it a buffer with as many received bytes as the arguments say, and the shape
        // of those was read from the BTF of the very `cifs.ko`. The buffer belongs to the thread
        // that makes the call: nothing else writes to it, and the slice is gone before that goes on.
        let Some(message) = (unsafe { message(registers) }) else {
            counters::oversized();
            return Next::Original;
        };
        if judge::accepts(message) {
            Next::Original
        } else {
            Next::Replacement
        }
    }

    fn removed(&self, missed: usize) {
        counters::missed(missed);
    }
}

/// The function and its replacement, which is asked first whether it answers as it must.
///
/// # Errors
///
/// `ENODEV`: it answers otherwise. A reply that is to be refused would be taken for a sound one.
fn target() -> Result<Target> {
    // Should it look at its argument after all, it finds an unused one.
    let dentry = Opaque::<bindings::dentry>::zeroed();
    // SAFETY: `dentry` lives until the call returns, and zeroes are a `struct dentry` that was
    // allocated and not used yet.
    let answer = unsafe { REPLACEMENT(dentry.get()) };
    if answer != MALFORMED {
        pr_err!("cannot refuse replies: always_delete_dentry answers {answer}, not {MALFORMED}\n");
        return Err(ENODEV);
    }
    // SAFETY: Whatever it is called with, the replacement does nothing but answer, which is all
    // that may be asked of any function that returns an `int`; to the callers of this one, the
    // answer means that the message is malformed. It is exported by the kernel proper (fs/libfs.c
    // is never a module), whose code stays.
    Ok(unsafe { Target::new(SYMBOL, REPLACEMENT as *const c_void) })
}

/// A probe on the function, which refuses what is malformed.
///
/// # Errors
///
/// `ENOENT`: `cifs` is not loaded. `ENODEV`: replies cannot be refused in this kernel. Others: the
/// kernel takes no probe there.
pub(crate) fn probe() -> impl PinInit<Probe<Judge>, Error> {
    pin_init::pin_init_scope(|| Ok(Probe::new(target()?, Judge(()))))
}
