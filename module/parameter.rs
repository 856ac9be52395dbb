// SPDX-License-Identifier: GPL-2.0
//! The parameter `mode`, to be given when loading and changed later in
//! `/sys/module/cifs_fix/parameters/mode`, and what else modinfo(8) tells of the module.
//!
//! `module!` makes parameters too, but none that sysfs shows: it leaves their permissions 0. This
//! is what it makes of one, with permissions, and with operations of our own, as `module_param_cb`
//! does in C.

use super::{
    counters,
    this_module::this_module, //
};
use core::ptr;
use kernel::{
    bindings,
    prelude::*, //
};

/// A parameter, as the kernel finds it in the section `__param`.
#[repr(transparent)]
struct Parameter(bindings::kernel_param);

// SAFETY: The structure is never changed, and its pointers lead to what is static.
unsafe impl Sync for Parameter {}

/// How it is read and written.
static OPERATIONS: bindings::kernel_param_ops = bindings::kernel_param_ops {
    flags: 0,
    set: Some(set),
    get: Some(get),
    free: None,
};

#[link_section = "__param"]
#[used]
static MODE: Parameter = Parameter(bindings::kernel_param {
    name: c"mode".to_bytes_with_nul().as_ptr().cast(),
    mod_: this_module(),
    ops: ptr::from_ref(&OPERATIONS),
    perm: 0o644,
    level: -1,
    flags: 0,
    __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
        arg: ptr::null_mut(),
    },
});

/// `kernel_param_ops.set`: sets the mode to what `text` names.
///
/// # Safety
///
/// `text` must be null, or point to bytes that end with a NUL and that nothing writes to until this
/// returns.
unsafe extern "C" fn set(text: *const c_char, _: *const bindings::kernel_param) -> c_int {
    if text.is_null() {
        return EINVAL.to_errno();
    }
    // No more is looked at than a mode has; the length of a string is counted in ways that could
    // panic.
    let mut bytes = [0; 4];
    let mut at = text;
    for byte in &mut bytes {
        // SAFETY: The caller guarantees bytes up to a NUL, and the loop ends at the first NUL.
        *byte = unsafe { at.read() };
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

/// `kernel_param_ops.get`: writes the mode and a newline into `buffer`, and gives their length.
///
/// # Safety
///
/// `buffer` must point to at least three bytes that may be written, and that nothing else uses
/// until this returns.
unsafe extern "C" fn get(buffer: *mut c_char, _: *const bindings::kernel_param) -> c_int {
    let text = [b'0'.wrapping_add(counters::mode() as u8), b'\n', 0];
    // SAFETY: The caller guarantees three bytes for `buffer`; `text` is a local array of three.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len()) };
    2
}

// Fields of `.modinfo`, as `MODULE_INFO` makes them. In assembly, for a static that is marked as
// used may come into a section of its own (`SHF_GNU_RETAIN`), and of two sections of that name the
// kernel reads one.
//
// version: that of `dkms.conf`, which Kbuild puts into a file.
// softdep: never a client that is loaded and not guarded. modprobe loads cifs after this, and
// removes it before.
core::arch::global_asm!(
    ".pushsection .modinfo, \"a\"",
    concat!(
        ".asciz \"version=",
        include_str!(concat!(env!("CIFS_FIX_GENERATED"), "/version")),
        "\""
    ),
    ".asciz \"softdep=post: cifs\"",
    ".asciz \"parmtype=mode:uint\"",
    concat!(
        ".asciz \"parm=mode:0: count and log malformed replies, 1: reject them (default), ",
        "2: reject what breaks the specification too\""
    ),
    ".popsection",
);
