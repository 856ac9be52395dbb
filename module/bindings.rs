// SPDX-License-Identifier: GPL-2.0
//! What the guard needs of the kernel's C side and the `kernel` crate lacks: made by bindgen from
//! `bindings.h`, for the kernel at hand.

#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
// Newer than the oldest compiler that kernels with Rust are built with.
#![cfg_attr(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES, allow(unnecessary_transmutes))]

use kernel::ffi;

include!(concat!(env!("CIFS_FIX_GENERATED"), "/bindings.rs"));
