// SPDX-License-Identifier: GPL-2.0
//! What a machine that waited is given: the rest of its plan with the module files, the time, and
//! randomness of its own.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::ioctl::{NoArg, ioctl, opcode};
use rustix::time::{ClockId, Timespec, clock_settime};
use vm_protocol::{ExtraStep, HandedFile, Handover};

use crate::port::Port;

/// `RNDRESEEDCRNG` of include/uapi/linux/random.h: what was written is drawn from at once.
const RESEED: rustix::ioctl::Opcode = opcode::none(b'R', 7);

/// Waits for the rest of the plan, and makes the machine one of its own.
pub(crate) fn receive<X: ExtraStep>(port: &mut Port) -> Result<Handover<X>, String> {
    let handover =
        port.receive(|file, bytes| write(file, bytes).map_err(|error| format!("{}: {error}", file.path)))?;
    set_clock(handover.time).map_err(|error| format!("setting the clock: {error}"))?;
    stir(handover.entropy.as_bytes()).map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(handover)
}

fn write(file: &HandedFile, bytes: &[u8]) -> io::Result<()> {
    let path = Path::new(&file.path);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, bytes)?;
    let mode = if file.program { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// `micros` since the beginning of 1970.
fn set_clock(micros: u64) -> io::Result<()> {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let seconds = i64::try_from(seconds).map_err(io::Error::other)?;
    let nanos = i64::try_from(rest * 1000).map_err(io::Error::other)?;
    Ok(clock_settime(ClockId::Realtime, Timespec { tv_sec: seconds, tv_nsec: nanos })?)
}

/// Has the kernel's random numbers go on from `entropy` too.
fn stir(entropy: &[u8]) -> io::Result<()> {
    let mut device = File::options().write(true).open("/dev/urandom")?;
    device.write_all(entropy)?;
    // SAFETY: the request takes no argument and gives none back (random_ioctl;
    // drivers/char/random.c).
    unsafe { ioctl(&device, NoArg::<RESEED>::new()) }?;
    Ok(())
}
