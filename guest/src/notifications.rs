// SPDX-License-Identifier: GPL-2.0
//! What an SMB server tells later than it is asked, or unasked: that a directory has changed, and
//! that what the client keeps of a file may no longer be what the file holds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use vm_init::{KernelLog, StepError};
use vm_protocol::Errno;

/// How often something is done or looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the server and the client have to tell of a write.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the client logs of a message that is neither a reply nor a notification that it knows
/// (fs/smb/client/connect.c).
const UNKNOWN: &str = "unknown frame received";

/// What a file holds at first, and later.
const BEFORE: &[u8] = b"as it was";
const AFTER: &[u8] = b"as it is.";

/// Room for changes, in bytes.
const ROOM: usize = 4096;

/// What is asked about a directory, and the answer (fs/smb/client/cifs_ioctl.h, `struct
/// smb3_notify_info`).
#[repr(C, packed)]
struct Notify {
    question: Question,
    changes: [u8; ROOM],
}

/// The fixed part of it. The kernel's structure ends where the changes begin.
#[repr(C, packed)]
struct Question {
    /// Which changes (MS-SMB2 2.2.35).
    filter: u32,
    /// Whether of the directories below, too.
    tree: u8,
    /// How many bytes of changes there is room for, and then how many there are.
    length: u32,
}

/// Files made, removed and renamed (`FILE_NOTIFY_CHANGE_FILE_NAME`).
const NAMES: u32 = 1;

/// `CIFS_IOC_NOTIFY_INFO`.
const NOTIFY_INFO: Opcode = opcode::read_write::<Question>(0xcf, 11);

/// Waits until the server tells of changes in a directory; gives the length of what it tells in
/// bytes.
pub(crate) fn watch(path: &str) -> io::Result<String> {
    let directory = File::open(path)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let changes = scope.spawn(|| change_until(&over, &Path::new(path).join("change")));
        let told = changes_of(&directory);
        over.store(true, Ordering::Relaxed);
        let made = changes.join().unwrap_or_else(|_| Err(io::Error::other("making changes panicked")));
        made.and(told).map(|length| length.to_string())
    })
}

/// Makes and removes a file again and again. The server tells only of what happens after it was
/// asked.
fn change_until(over: &AtomicBool, file: &Path) -> io::Result<()> {
    while !over.load(Ordering::Relaxed) {
        fs::write(file, "")?;
        fs::remove_file(file)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn changes_of(directory: &File) -> io::Result<u32> {
    let question = Question { filter: NAMES, tree: 0, length: ROOM as u32 };
    let mut asked = Notify { question, changes: [0; ROOM] };
    // SAFETY: the structure is laid out as the kernel's, with as much room behind it as it says.
    unsafe { ioctl(directory, Updater::<NOTIFY_INFO, Notify>::new(&mut asked)) }?;
    Ok(asked.question.length)
}

/// Reads a file, and sees to it that the server tells the client that it may no longer keep what it
/// read.
pub(crate) fn break_lease(path: &str, other: &str) -> Result<(), StepError> {
    let failed = |error: io::Error| StepError::of(path, error);
    let writer = File::options().write(true).create_new(true).open(other).map_err(failed)?;
    let write = |content| writer.write_all_at(content, 0).and_then(|()| writer.sync_all()).map_err(failed);
    write(BEFORE)?;
    let mut log = KernelLog::open().and_then(|mut log| log.read_new().map(|_| log)).map_err(unlogged)?;
    let reader = File::open(path).map_err(failed)?;
    if !holds(&reader, BEFORE).map_err(failed)? {
        return Err(StepError::new(Errno::EBADMSG, format!("{path}: not what was written")));
    }
    write(AFTER)?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if holds(&reader, AFTER).map_err(failed)? {
            return Ok(());
        }
        if log.read_new().map_err(unlogged)?.iter().any(|line| line.text.contains(UNKNOWN)) {
            return Err(StepError::new(Errno::ESTALE, format!("{path}: the client keeps what it read")));
        }
        thread::sleep(PAUSE);
    }
    Err(StepError::new(Errno::ETIMEDOUT, format!("{path}: nothing came of the write in time")))
}

fn holds(file: &File, content: &[u8]) -> io::Result<bool> {
    let mut held = vec![0; content.len()];
    file.read_exact_at(&mut held, 0)?;
    Ok(held == content)
}

fn unlogged(why: String) -> StepError {
    StepError::new(Errno::EIO, why)
}
