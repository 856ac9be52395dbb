// SPDX-License-Identifier: GPL-2.0
//! Waits for QEMU to connect to a socket that it was told of.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The next connection to `listener`, or `None` when there was none for this long.
pub(crate) fn connection(listener: &UnixListener, patience: Duration) -> io::Result<Option<UnixStream>> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut asked = [PollFd::new(listener, PollFlags::IN)];
    match poll(&mut asked, Some(&patience)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
        Ok(_) => listener.accept().map(|(stream, _)| Some(stream)),
        Err(errno) => Err(errno.into()),
    }
}
