// SPDX-License-Identifier: GPL-2.0
//! Reads and writes `/dev/kmsg`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};

use rustix::io::ioctl_fionbio;
use vm_protocol::{LogLine, MARKER};

const DEVICE: &str = "/dev/kmsg";

/// A record is never longer than this (`PRINTKRB_RECORD_MAX` and properties;
/// kernel/printk/printk.c).
const RECORD_BYTES: usize = 8192;

/// The kernel log, read from its beginning.
#[derive(Debug)]
pub struct KernelLog {
    device: File,
}

impl KernelLog {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// If the device cannot be opened.
    pub fn open() -> Result<Self, String> {
        let device = File::open(DEVICE).map_err(|error| format!("{DEVICE}: {error}"))?;
        // A read at the end of the log must not wait for the next record.
        ioctl_fionbio(&device, true).map_err(|errno| format!("{DEVICE}: {errno}"))?;
        Ok(Self { device })
    }

    /// The records that are new since the last call.
    ///
    /// # Errors
    ///
    /// If the device cannot be read.
    pub fn read_new(&mut self) -> Result<Vec<LogLine>, String> {
        let mut lines = Vec::new();
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.device.read(&mut record) {
                Ok(length) => lines.extend(LogLine::parse(&String::from_utf8_lossy(&record[..length]))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(lines),
                // Records were overwritten before they were read: the next read goes on after the
                // gap.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("{DEVICE}: {error}")),
            }
        }
    }
}

/// Writes one line of the init's own to the kernel log, as a notice.
pub fn write(text: &str) {
    if let Ok(mut device) = OpenOptions::new().write(true).open(DEVICE) {
        // One write is one record. There is nobody to tell that it failed.
        device.write_all(format!("<5>{MARKER} {}", text.replace('\n', " ")).as_bytes()).ok();
    }
}
