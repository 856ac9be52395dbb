// SPDX-License-Identifier: GPL-2.0
//! Reads what a running program prints, until the program ends.
//!
//! Until it ends, not until nobody holds its outputs open any more: what it started and left behind
//! has them, too, and may live on. dkms(8) leaves a `sleep 3` at each step that shows progress.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long to wait at most before the caller looks at its clock.
const TICK: Duration = Duration::from_millis(200);

/// Bytes read at once.
const AT_ONCE: usize = 1 << 16;

/// Which output something was printed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What a turn of reading came to.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Whole lines with their ends, and at last what no end came to.
    pub lines: Vec<(Stream, Vec<u8>)>,
    /// Bytes that were read, also those of lines that have no end yet.
    pub bytes: u64,
    /// The exit status, once the program has ended: the last turn.
    pub ended: Option<ExitStatus>,
}

/// A running program and its outputs, where they are pipes. Killed when dropped before its end, so
/// that no error leaves it behind.
#[derive(Debug)]
pub(super) struct Outputs {
    child: Child,
    /// Can be read when the program has ended (`pidfd_open(2)`).
    end: OwnedFd,
    pipes: Vec<Pipe>,
    over: bool,
}

#[derive(Debug)]
struct Pipe {
    fd: std::fs::File,
    stream: Stream,
    /// The line that has no end yet.
    line: Vec<u8>,
}

impl Outputs {
    pub(super) fn of(mut child: Child) -> io::Result<Self> {
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let out = child.stdout.take().map(|pipe| Pipe::new(pipe.into(), Stream::Out));
        let err = child.stderr.take().map(|pipe| Pipe::new(pipe.into(), Stream::Err));
        Ok(Self { child, end, pipes: out.into_iter().chain(err).collect(), over: false })
    }

    /// Waits until something is printed, the program ends, or a moment has passed.
    pub(super) fn next(&mut self) -> io::Result<Turn> {
        let (ended, ready) = self.wait()?;
        let mut turn = Turn::default();
        let mut open = Vec::with_capacity(self.pipes.len());
        for (mut pipe, ready) in std::mem::take(&mut self.pipes).into_iter().zip(ready) {
            // After the end, all that the program wrote is there; what more comes is not its own.
            let most = if ended { pipe.holds()? } else { AT_ONCE };
            if !(ready || ended) || pipe.read(most, &mut turn)? {
                open.push(pipe);
            }
        }
        self.pipes = open;
        if ended {
            self.pipes.iter_mut().for_each(|pipe| pipe.finish(&mut turn));
            turn.ended = Some(self.child.wait()?);
            self.over = true;
        }
        Ok(turn)
    }

    /// Whether the program has ended, and which pipes have something to read.
    fn wait(&self) -> io::Result<(bool, Vec<bool>)> {
        let fds = std::iter::once(self.end.as_fd()).chain(self.pipes.iter().map(|pipe| pipe.fd.as_fd()));
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let tick = Timespec::try_from(TICK).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&tick)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok((ready.next().unwrap_or_default(), ready.collect()))
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        if !self.over {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Pipe {
    fn new(fd: OwnedFd, stream: Stream) -> Self {
        Self { fd: fd.into(), stream, line: Vec::new() }
    }

    /// Bytes that can be read without waiting.
    fn holds(&self) -> io::Result<usize> {
        Ok(usize::try_from(ioctl_fionread(&self.fd)?).unwrap_or(AT_ONCE))
    }

    /// Reads up to `most` bytes, at least one of which is there, or the end. Whether the pipe is
    /// still open.
    fn read(&mut self, most: usize, turn: &mut Turn) -> io::Result<bool> {
        if most == 0 {
            return Ok(true);
        }
        let mut bytes = vec![0; most];
        let count = loop {
            match self.fd.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if count == 0 {
            self.finish(turn);
            return Ok(false);
        }
        turn.bytes += count as u64;
        for part in bytes[..count].split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.finish(turn);
            }
        }
        Ok(true)
    }

    /// Gives what there is of a line.
    fn finish(&mut self, turn: &mut Turn) {
        if !self.line.is_empty() {
            turn.lines.push((self.stream, std::mem::take(&mut self.line)));
        }
    }
}
