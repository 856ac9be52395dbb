// SPDX-License-Identifier: GPL-2.0
//! The verifier as a part of `cifs.ko`: one function, called by `smb2_check_message` for every
//! reply.
//!
//! The module is the client's own, in C; this is a leaf in it, without state. The judgement is safe
//! code (`module/verify/`), the same that the guard is made of.

#[path = "../../../module/verify/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod verify;

use verify::{Asked, Level, Outcome};

/// What a reply was found to be. `struct cifs_verdict` of `cifs_verify.h` is the same.
#[repr(C)]
pub struct Verdict {
    /// The name of the rule that it breaks, not terminated.
    rule: *const u8,
    /// How long that name is.
    rule_len: u32,
    /// Where in the reply, in bytes.
    offset: u32,
}

/// Whether the client may go on with a reply; when not, `verdict` says why.
///
/// # Safety
///
/// - `message` must point to `len` initialised bytes, at most `isize::MAX`, to which nothing writes
///   until this returns.
/// - `verdict` must point to a `struct cifs_verdict` that may be written, and that nothing else
///   uses until this returns.
#[no_mangle]
pub unsafe extern "C" fn cifs_verify(
    message: *const u8,
    len: usize,
    verdict: *mut Verdict,
) -> bool {
    // SAFETY: The caller guarantees the bytes, and the slice is not used after this returns.
    let message = unsafe { core::slice::from_raw_parts(message, len) };
    let Outcome::Malformed(found) = verify::verify(message, Asked::guarded(), Level::Enforce) else {
        return true;
    };
    let rule = found.rule.name();
    let said = Verdict {
        rule: rule.as_ptr(),
        rule_len: rule.len() as u32,
        offset: found.offset as u32,
    };
    // SAFETY: The caller guarantees that it may be written.
    unsafe { verdict.write(said) };
    false
}
