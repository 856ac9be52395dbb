// SPDX-License-Identifier: GPL-2.0
//! The parameter `mode`, to be given when loading and changed later in
//! `/sys/module/cifs_fix/parameters/mode`, and what else modinfo(8) tells of the module.
//!
//! `module!` makes parameters too, but none that sysfs shows: it leaves their permissions 0. This is
//! what it makes of one, with permissions, and with operations of our own, as `module_param_cb` does in C.

use super::counters;
use core::ptr;
use kernel::bindings;
use kernel::ffi::{c_char, c_int};
use kernel::prelude::*;

/// A parameter, as the kernel finds it in the section `__param`.
#[repr(transparent)]
struct Parameter(bindings::kernel_param);

// SAFETY: It is never changed, and what it points at is static.
unsafe impl Sync for Parameter {}

/// How it is read and written.
static OPERATIONS: bindings::kernel_param_ops =
    bindings::kernel_param_ops { flags: 0, set: Some(set), get: Some(get), free: None };

#[link_section = "__param"]
#[used]
static MODE: Parameter = Parameter(bindings::kernel_param {
    name: c"mode".to_bytes_with_nul().as_ptr().cast(),
    mod_: crate::THIS_MODULE.as_ptr(),
    ops: ptr::from_ref(&OPERATIONS),
    perm: 0o644,
    level: -1,
    flags: 0,
    __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 { arg: ptr::null_mut() },
});

/// Sets the mode to what `text` names.
///
/// # Safety
///
/// To be called by the kernel's handling of parameters only: with no text, or one that ends with a NUL.
unsafe extern "C" fn set(text: *const c_char, _: *const bindings::kernel_param) -> c_int {
    if text.is_null() {
        return EINVAL.to_errno();
    }
    // No more is looked at than a mode has; the length of a string is counted in ways that could panic.
    let mut bytes = [0; 4];
    let mut at = text;
    for byte in &mut bytes {
        // SAFETY: It ends with a NUL, which is not passed, and lives as long as this call.
        *byte = unsafe { at.read() } as u8;
        if *byte == 0 {
            break;
        }
        at = at.wrapping_add(1);
    }
    match counters::set_mode(bytes.split(|byte| *byte == 0).next().unwrap_or_default()) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Writes the mode and a newline into `buffer`, and gives their length.
///
/// # Safety
///
/// To be called by the kernel's handling of parameters only, which has a page for it.
unsafe extern "C" fn get(buffer: *mut c_char, _: *const bindings::kernel_param) -> c_int {
    let text = [b'0'.wrapping_add(counters::mode() as u8), b'\n', 0];
    // SAFETY: A page has room for three bytes, and is not on the stack.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len()) };
    2
}

// Fields of `.modinfo`, as `MODULE_INFO` makes them. In assembly, for a static that is marked as used may come into a
// section of its own (`SHF_GNU_RETAIN`), and of two sections of that name the kernel reads one.
//
// softdep: never a client that is loaded and not guarded. modprobe loads cifs after this, and removes it before.
core::arch::global_asm!(
    ".pushsection .modinfo, \"a\"",
    ".asciz \"version=0.1.0\"",
    ".asciz \"softdep=post: cifs\"",
    ".asciz \"parmtype=mode:uint\"",
    ".asciz \"parm=mode:0: count and log malformed replies, 1: reject them (default), 2: reject what breaks the specification too\"",
    ".popsection",
);
