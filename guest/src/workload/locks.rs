// SPDX-License-Identifier: GPL-2.0
//! Locks on parts of a file, of two openings of it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::io::Errno;
use vm_init::{GuestStepResult, StepError};

use super::place::{Place, require, shown};

/// A lock of kind `F_WRLCK` or `F_RDLCK`, or `F_UNLCK` for none, on `length` bytes from `start` on.
/// It belongs to the opening, not to the process, so that one process can hold two that exclude
/// each other.
fn set(file: &File, kind: i32, start: i64, length: i64) -> Result<(), Errno> {
    let range = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the range lives until the call returns.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
    if status == 0 { Ok(()) } else { Err(last_error()) }
}

/// The error of the last system call.
fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Two writers take parts beside each other; each is refused the other's; readers share.
pub(super) fn ranges(place: &Place<'_>) -> GuestStepResult {
    let path = place.path("locked");
    let failed = |error: std::io::Error| StepError::of(shown(&path), error);
    fs::write(&path, [0; 4096]).map_err(failed)?;
    let open = || File::options().read(true).write(true).open(&path).map_err(failed);
    let (one, other) = (open()?, open()?);
    let taken = |what: Result<(), Errno>| what.map_err(|errno| StepError::of(shown(&path), errno));
    let excluded = |what: Result<(), Errno>| {
        require(matches!(what, Err(Errno::AGAIN | Errno::ACCESS)), || format!("a locked range: {what:?}"))
    };
    taken(set(&one, libc::F_WRLCK, 0, 100))?;
    taken(set(&other, libc::F_WRLCK, 100, 100))?;
    excluded(set(&other, libc::F_WRLCK, 50, 10))?;
    excluded(set(&one, libc::F_RDLCK, 150, 10))?;
    taken(set(&one, libc::F_UNLCK, 0, 100))?;
    taken(set(&other, libc::F_WRLCK, 0, 100))?;
    taken(set(&other, libc::F_UNLCK, 0, 200))?;
    taken(set(&one, libc::F_RDLCK, 1000, 10))?;
    taken(set(&other, libc::F_RDLCK, 1000, 10))?;
    drop((one, other));
    fs::remove_file(&path).map_err(failed)?;
    Ok(None)
}
