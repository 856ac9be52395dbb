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
mod kprobe;
#[path = "verify/mod.rs"]
pub mod verify;

use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::uaccess::UserSliceReader;

module! {
    type: CifsFix,
    name: "cifs_fix",
    authors: ["The cifs-fix authors"],
    description: "Verifies SMB2 replies before cifs parses them",
    license: "GPL",
    params: {
        mode: u8 {
            default: 1,
            description: "0: count and log malformed replies, 1: reject them (default)",
        },
    },
}

/// The loaded module. Fields are dropped in this order: first the hook, then its files.
#[pin_data]
struct CifsFix {
    _hook: kprobe::Hook,
    #[pin]
    _counters: File<()>,
    #[pin]
    _state: File<()>,
    #[pin]
    _mode: File<()>,
    _dir: Dir,
}

impl kernel::InPlaceModule for CifsFix {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let dir = Dir::new(c"cifs_fix");
        try_pin_init!(Self {
            // First, for the files below show what it sets up.
            _hook: start()?,
            _counters <- dir.read_callback_file(c"counters", (), &show_counters),
            _state <- dir.read_callback_file(c"state", (), &show_state),
            _mode <- dir.read_write_callback_file(c"mode", (), &show_mode, &store_mode),
            _dir: dir,
        })
    }
}

/// Takes the parameter, and hooks `cifs` when it is loaded.
fn start() -> Result<kprobe::Hook> {
    let mode = *module_parameters::mode.value();
    counters::set_mode(mode.into())
        .inspect_err(|_| pr_err!("mode={mode} is unknown: 0 counts and logs, 1 rejects\n"))?;
    pr_info!("mode={mode}, built for {}\n", kprobe::PROTOTYPE);
    kprobe::Hook::install()
}

/// `/sys/kernel/debug/cifs_fix/counters`: one `name=value` a line.
fn show_counters(_: &(), out: &mut fmt::Formatter<'_>) -> fmt::Result {
    counters::write(out, "\n")?;
    out.write_str("\n")
}

/// `/sys/kernel/debug/cifs_fix/state`: `guarding`, `waiting`, or `failed error=N`.
fn show_state(_: &(), out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kprobe::state() {
        kprobe::State::Guarding => out.write_str("guarding\n"),
        kprobe::State::Waiting => out.write_str("waiting\n"),
        kprobe::State::Failed(error) => writeln!(out, "failed error={error}"),
    }
}

/// `/sys/kernel/debug/cifs_fix/mode`, read.
fn show_mode(_: &(), out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "{}", counters::mode())
}

/// `/sys/kernel/debug/cifs_fix/mode`, written: `0` or `1`, a newline after it or not.
fn store_mode(_: &(), input: &mut UserSliceReader) -> Result {
    let mut text = [0u8; 2];
    let text = text.get_mut(..input.len()).ok_or(EINVAL)?;
    input.read_slice(text)?;
    let mode = match text.trim_ascii_end() {
        b"0" => 0,
        b"1" => 1,
        _ => return Err(EINVAL),
    };
    counters::set_mode(mode)?;
    pr_info!("mode={mode}\n");
    Ok(())
}
