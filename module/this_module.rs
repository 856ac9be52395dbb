// SPDX-License-Identifier: GPL-2.0
//! This module, as the C side knows it.
//!
//! Where `module!` keeps it is another place in another line of kernels: a static in the crate's
//! root up to 7.2, a constant of a trait since. The symbol behind both is the one of C's
//! `THIS_MODULE` (include/linux/init.h).

use kernel::bindings;

/// The module that this crate is linked into; never null.
pub(crate) const fn this_module() -> *mut bindings::module {
    (&raw mut crate::bindings::__this_module).cast()
}
