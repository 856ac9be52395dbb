// SPDX-License-Identifier: GPL-2.0
//! Runs a program for a step: its output goes into files, and it ends when the run is to end.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use report::process::Cmd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::run::stop::StopFlag;

/// How often it is looked at whether the run is to end.
const CHECKED: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// So long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// So long it may take until this program hears of a signal that another one has ended by.
const HEARD: Duration = Duration::from_millis(300);

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit status.
    pub(super) status: ExitStatus,
    /// What it printed on standard output, unless that went to the log.
    pub(super) stdout: Vec<u8>,
    /// Whether it was ended because the run was.
    pub(super) stopped: bool,
    /// How long it took.
    pub(super) took: Duration,
}

impl Ended {
    /// The exit status as a number: 1 for a program that was killed.
    pub(super) fn code(&self) -> u8 {
        self.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }

    /// The signal that ended it.
    pub(super) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Where standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandardOutput {
    /// It is the result, and is given.
    Kept,
    /// Into the log, with all else.
    Logged,
}

/// Runs it. What it says on standard error is appended to `log`.
pub(super) fn run(cmd: Cmd, stdout: StandardOutput, log: &Utf8Path, stop: &StopFlag) -> Result<Ended> {
    let started = Instant::now();
    let to_log = File::options().create(true).append(true).open(log);
    let to_log = to_log.with_context(|| format!("writing {log}"))?;
    let mut kept = tempfile::tempfile().context("making a temporary file")?;
    let out = match stdout {
        StandardOutput::Kept => kept.try_clone()?,
        StandardOutput::Logged => to_log.try_clone()?,
    };
    let mut child = cmd.bound("TERM").spawn(Stdio::from(out), Stdio::from(to_log))?;
    let (status, stopped) = wait(&mut child, stop)?;
    let mut stdout = Vec::new();
    kept.rewind()?;
    kept.read_to_end(&mut stdout)?;
    Ok(Ended { status, stdout, stopped, took: started.elapsed() })
}

/// Whether a program failed because the run is to end. Ctrl-C, or what a batch system sends,
/// reaches all its processes, and some may have ended by it before this one hears of it.
fn was_ended_with_us(status: ExitStatus, stop: &StopFlag) -> bool {
    if matches!(status.code(), Some(0 | 77)) {
        return false;
    }
    let begun = Instant::now();
    while !stop.is_set() && begun.elapsed() < HEARD {
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.is_set()
}

fn wait(child: &mut Child, stop: &StopFlag) -> Result<(ExitStatus, bool)> {
    let pid = Pid::from_child(child);
    let fd = pidfd_open(pid, PidfdFlags::empty()).context("watching a program")?;
    let mut asked: Option<Instant> = None;
    loop {
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&CHECKED));
        if ready.is_ok_and(|ready| ready > 0) {
            let status = child.wait()?;
            return Ok((status, asked.is_some() || was_ended_with_us(status, stop)));
        }
        match asked {
            None if stop.is_set() => {
                kill_process(pid, Signal::TERM).ok();
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => child.kill().context("ending a program")?,
            _ => {}
        }
    }
}
