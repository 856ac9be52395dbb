// SPDX-License-Identifier: GPL-2.0
//! The guard: verifies what an SMB server sends before the stock `cifs.ko` parses it.
//!
//! It hooks `smb2_check_message`, through which the client takes every reply, and makes it fail
//! for a reply that the verifier finds malformed. Nothing of the client is replaced.
//!
//! - `verify` judges a reply: safe code, which is also a crate of the host.
//! - `kprobe` and `notifier` are safe abstractions over the kernel's C side and know nothing of
//!   SMB; `registers` is what depends on the architecture.
//! - `check_message` is the hooked function, `judge` what happens in it, and `guard` sets the hook
//!   and removes it.
//! - `counters`, `parameter` and `debugfs` are what users see and set.
//!
//! `cifs` may be loaded before or after this module, unloaded, and loaded again: the hook follows
//! it. While there is nothing to guard, the log and debugfs say so.

mod bindings;
mod check_message;
mod counters;
#[cfg(CONFIG_DEBUG_FS)]
mod debugfs;
mod guard;
mod judge;
mod kprobe;
mod notifier;
mod parameter;
mod registers;
mod this_module;
#[path = "verify/mod.rs"]
pub mod verify;

use guard::{
    Follower,
    Guard, //
};
use kernel::prelude::*;

module! {
    type: CifsFix,
    name: "cifs_fix",
    authors: ["The cifs-fix authors"],
    description: "Verifies SMB2 replies before cifs parses them",
    license: "GPL",
}

/// The loaded module. Fields are dropped in this order: first the files, then the hook.
#[pin_data]
struct CifsFix {
    #[cfg(CONFIG_DEBUG_FS)]
    _files: debugfs::Directory,
    #[pin]
    _follower: Follower,
}

impl kernel::InPlaceModule for CifsFix {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            pr_info!(
                "mode={}, built for {}\n",
                counters::mode(),
                check_message::PROTOTYPE
            );
            let guard = Guard::new()?;
            Ok(try_pin_init!(Self {
                _follower <- guard.clone().follow(),
                // From here on, `cifs` cannot be loaded unnoticed.
                _: { guard.hook()? },
                // Last, because they show the state.
                #[cfg(CONFIG_DEBUG_FS)]
                _files: debugfs::Directory::new(guard),
            }))
        })
    }
}
