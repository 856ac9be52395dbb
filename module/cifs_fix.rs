// SPDX-License-Identifier: GPL-2.0
//! The guard: verifies what an SMB server sends before the stock `cifs.ko` parses it.
//!
//! It hooks `smb2_check_message`, through which the client takes every reply, and makes it fail
//! for a reply that the verifier finds malformed. Nothing of the client is replaced. The
//! judgement is safe code (`verify/`); what touches the kernel's C side is in `kprobe.rs`.
//!
//! `cifs` may be loaded before or after this module, unloaded, and loaded again: the hook follows
//! it. While there is nothing to guard, the log and debugfs say so.

mod counters;
#[cfg(CONFIG_DEBUG_FS)]
mod debugfs;
mod kprobe;
mod parameter;
#[path = "verify/mod.rs"]
pub mod verify;

use kernel::prelude::*;

module! {
    type: CifsFix,
    name: "cifs_fix",
    authors: ["The cifs-fix authors"],
    description: "Verifies SMB2 replies before cifs parses them",
    license: "GPL",
}

/// The loaded module. Fields are dropped in this order.
struct CifsFix {
    #[cfg(CONFIG_DEBUG_FS)]
    _files: debugfs::Directory,
    _hook: kprobe::Hook,
}

impl kernel::Module for CifsFix {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("mode={}, built for {}\n", counters::mode(), kprobe::PROTOTYPE);
        Ok(Self {
            // First, for the files show what it sets up.
            _hook: kprobe::Hook::install()?,
            #[cfg(CONFIG_DEBUG_FS)]
            _files: debugfs::Directory::new(),
        })
    }
}
