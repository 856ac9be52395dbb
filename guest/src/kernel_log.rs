// SPDX-License-Identifier: GPL-2.0
//! Reads and writes `/dev/kmsg`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use guest::{LogLine, MARKER};
use nix::libc;

/// A record is never longer than this (`PRINTKRB_RECORD_MAX` and properties; kernel/printk/printk.c).
const RECORD_BYTES: usize = 8192;

/// The kernel log, read from its beginning.
pub(crate) struct KernelLog {
    device: File,
}

impl KernelLog {
    pub(crate) fn open() -> Result<Self, String> {
        let device = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        Ok(Self { device: device.map_err(|error| format!("/dev/kmsg: {error}"))? })
    }

    /// The records that are new since the last call.
    pub(crate) fn read_new(&mut self) -> Result<Vec<LogLine>, String> {
        let mut lines = Vec::new();
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.device.read(&mut record) {
                Ok(length) => lines.extend(LogLine::parse(&String::from_utf8_lossy(&record[..length]))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                // Records were overwritten before they were read: the next read goes on after the gap.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("/dev/kmsg: {error}")),
            }
        }
    }
}

/// Writes one line of the init's own to the kernel log, as a notice.
pub(crate) fn write(text: &str) {
    if let Ok(mut device) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // One write is one record.
        device.write_all(format!("<5>{MARKER} {}", text.replace('\n', " ")).as_bytes()).ok();
    }
}
