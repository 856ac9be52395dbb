// SPDX-License-Identifier: GPL-2.0
//! The hook on `smb2_check_message` of `cifs`: how that function is called, and what runs in its
//! place when a reply is rejected.

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

/// The known parameter lists of the function; the build chooses one of them.
#[allow(dead_code)]
#[derive(Clone, Copy)]
enum Shape {
    /// `(buf, len, server)`.
    BufLenServer,
    /// `(buf, pdu_len, len, server)`.
    BufPduLenLenServer,
}

/// The hooked function. The module's name keeps the probe off a function of the same name
/// elsewhere.
const SYMBOL: &CStr = c"cifs:smb2_check_message";

/// What the hooked function returns for a malformed reply: for the client, anything but 0.
const MALFORMED: c_int = 1;

/// What runs in its place when a reply is rejected. It must be a function of the kernel proper: a
/// thread that is interrupted in it may resume after this module was unloaded. This one ignores its
/// argument and returns 1. Its type is checked here, at build time, and its result by [`target`].
const REPLACEMENT: unsafe extern "C" fn(*const bindings::dentry) -> c_int =
    bindings::always_delete_dentry;

/// Longer than any message that `cifs` receives into one buffer: `CIFSMaxBufSize` is at most
/// 127 KiB, and a header comes on top. The client refuses a longer one by itself.
const MAX_LEN: usize = 128 * 1024;

impl Shape {
    /// Where the message begins, and how many bytes of it were received.
    fn message(self, registers: &Registers) -> (*const u8, usize) {
        let [buf, second, third, _] = registers.arguments();
        // Each is an `unsigned int`, which is in the lower half of its register.
        let [second, third] = [second as c_uint, third as c_uint];
        let len = match self {
            Self::BufLenServer => second,
            // `pdu_len` exceeds this message if it was encrypted, and `len` is that of another
            // message if the client dumps one for debugging. The buffer holds at least the lesser
            // of the two.
            Self::BufPduLenLenServer => second.min(third),
        };
        (buf as *const u8, len as usize)
    }
}

/// The message that the hooked function was called with; `None` if there is none, or if it is
/// longer than any that the client accepts.
///
/// # Safety
///
/// The first argument in `registers` must be null, or point to as many initialised bytes as
/// [`Shape::message`] says, which nothing writes to during `'a`.
unsafe fn message<'a>(registers: &Registers) -> Option<&'a [u8]> {
    let (start, len) = SHAPE.message(registers);
    if start.is_null() || len > MAX_LEN {
        return None;
    }
    // SAFETY: The caller guarantees `len` initialised bytes that nothing writes to; `len` is far
    // below `isize::MAX`.
    Some(unsafe { slice::from_raw_parts(start, len) })
}

/// Judges every message that the hooked function is called with.
///
/// # Invariants
///
/// It handles probes on [`SYMBOL`] only.
pub(crate) struct Judge(());

impl Handler for Judge {
    fn before(&self, registers: &Registers) -> Next {
        counters::seen();
        // SAFETY: By the type invariant, these are the arguments of `smb2_check_message`, whose
        // parameter list the build read from the BTF of this `cifs.ko`. Its callers pass a buffer
        // with at least as many received bytes as `Shape::message` says. The buffer belongs to the
        // calling thread, so that nothing writes to it before this returns.
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

/// The hooked function and its replacement, once that was seen to return what it must.
///
/// # Errors
///
/// `ENODEV`: it returns something else, and a rejected reply might be taken for a sound one.
fn target() -> Result<Target> {
    // In case it reads its argument after all.
    let dentry = Opaque::<bindings::dentry>::zeroed();
    // SAFETY: `dentry` is valid until the call returns. All zeroes is a `struct dentry` that has
    // been allocated and not been used yet.
    let answer = unsafe { REPLACEMENT(dentry.get()) };
    if answer != MALFORMED {
        pr_err!("cannot reject replies: always_delete_dentry returns {answer}, not {MALFORMED}\n");
        return Err(ENODEV);
    }
    // SAFETY: The replacement ignores its argument and has no effect, so it may be called with any
    // arguments wherever a function that returns an `int` may. For the callers of the hooked
    // function, what it returns means that the reply is malformed. It belongs to the kernel proper
    // (fs/libfs.c is always built in), whose code is never unloaded.
    Ok(unsafe { Target::new(SYMBOL, REPLACEMENT as *const c_void) })
}

/// A probe on the hooked function, which rejects malformed replies.
///
/// # Errors
///
/// `ENOENT`: `cifs` is not loaded. `ENODEV`: replies cannot be rejected in this kernel. Others: the
/// kernel refuses a probe there.
pub(crate) fn probe() -> impl PinInit<Probe<Judge>, Error> {
    // INVARIANT: This is the only place where there is a `Judge`, and it probes `SYMBOL`.
    pin_init::pin_init_scope(|| Ok(Probe::new(target()?, Judge(()))))
}
