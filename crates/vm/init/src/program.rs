// SPDX-License-Identifier: GPL-2.0
//! Runs programs that are in the machine.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{chroot, fchdir};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcdrain, tcgetattr, tcsetattr, tcsetwinsize};
use vm_protocol::{Errno, OUTPUT_LIMIT, OUTPUT_PORT, Talk, TalkedOver};

use crate::port;
use crate::recorder::Recorder;
use crate::step_error::StepError;

/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first virtio console.
const CONSOLE: &str = "/dev/hvc0";

/// How many of the last lines that a program printed are part of why it failed.
const LAST: usize = 20;

/// Runs a program to its end and gives what it printed on both outputs, cut to [`OUTPUT_LIMIT`].
#[expect(clippy::disallowed_methods, reason = "the machine's one door to other programs")]
pub(crate) fn run(program: &str, args: &[String], recorder: &Recorder) -> Result<String, StepError> {
    let mut command = Command::new(program);
    command.args(args).env("PATH", PATH).stdin(Stdio::null());
    let output = recorder.follow(&mut command).and_then(|()| command.output());
    let output = output.map_err(|error| StepError::of(program, error))?;
    let mut printed = [output.stdout, output.stderr].concat();
    printed.truncate(OUTPUT_LIMIT);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let lines: Vec<&str> = printed.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(LAST)..].join("\n");
    let separator = if last.is_empty() { "" } else { ": " };
    let reason = format!("{program}: {}{separator}{last}", output.status);
    Err(StepError::new(Errno::EIO, reason).of_program(output.status.code(), Some(printed)))
}

/// Lets a program talk to the user.
pub(crate) fn talk(talk: &Talk) -> Result<(), StepError> {
    let device = device(talk.over)?;
    let status = within(&talk.root, || {
        std::env::set_current_dir(&talk.dir).map_err(|error| StepError::of(&talk.dir, error))?;
        start(talk, &device).map_err(|error| StepError::of(&talk.program, error))
    });
    // What it wrote must have left before the machine ends.
    if matches!(talk.over, TalkedOver::Terminal { .. }) {
        tcdrain(&device).ok();
    }
    let status = status?;
    if status.success() {
        return Ok(());
    }
    let failed = StepError::new(Errno::EIO, format!("{}: {status}", talk.program));
    Err(failed.of_program(status.code(), None))
}

/// Opens what is talked over.
fn device(over: TalkedOver) -> Result<File, StepError> {
    match over {
        TalkedOver::Port => {
            let path = port::find(OUTPUT_PORT).ok_or_else(|| {
                StepError::new(Errno::ENODEV, format!("no virtio-serial port is named {OUTPUT_PORT}"))
            })?;
            let name = path.display().to_string();
            OpenOptions::new().write(true).open(path).map_err(|error| StepError::of(name, error))
        }
        TalkedOver::Terminal { rows, columns } => {
            let opened = console(rows, columns);
            opened.map_err(|error| StepError::of(CONSOLE, error))
        }
    }
}

/// The console as a terminal of this size.
fn console(rows: u16, columns: u16) -> io::Result<File> {
    let console = open(CONSOLE, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    tcsetwinsize(&console, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    // The host's terminal has the carriage return to each new line.
    let mut attributes = tcgetattr(&console)?;
    attributes.output_modes.remove(OutputModes::ONLCR);
    tcsetattr(&console, OptionalActions::Now, &attributes)?;
    Ok(console.into())
}

/// Does something with another `/`, and comes back. Nothing else of the init runs meanwhile: it is
/// that of the whole process.
fn within<T>(root: &str, act: impl FnOnce() -> Result<T, StepError>) -> Result<T, StepError> {
    let failed = |errno: rustix::io::Errno| StepError::of(root, errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here = open("/", flags, Mode::empty()).map_err(failed)?;
    chroot(root).map_err(failed)?;
    let done = act();
    back(here.as_fd()).map_err(|error| StepError::of("/", error))?;
    done
}

fn back(here: impl AsFd) -> io::Result<()> {
    fchdir(here)?;
    Ok(chroot(Path::new("."))?)
}

/// Starts it, and waits for its end. A terminal becomes its own by setsid(1): a shell on one that
/// is not cannot stop what it runs.
#[expect(clippy::disallowed_methods, reason = "the same door")]
fn start(talk: &Talk, device: &File) -> io::Result<ExitStatus> {
    let on_terminal = matches!(talk.over, TalkedOver::Terminal { .. });
    let mut command = if on_terminal {
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", &talk.program]);
        command
    } else {
        Command::new(&talk.program)
    };
    let stdin = if on_terminal { device.try_clone()?.into() } else { Stdio::null() };
    let outputs: [OwnedFd; 2] = [device.try_clone()?.into(), device.try_clone()?.into()];
    let [stdout, stderr] = outputs;
    let command = command.args(&talk.args).env_clear().env("PATH", PATH);
    command.envs(talk.env.iter().map(|(name, value)| (name, value)));
    command.stdin(stdin).stdout(stdout).stderr(stderr).status()
}
