// SPDX-License-Identifier: GPL-2.0
//! The virtio-serial port that events leave by.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use vm_protocol::{Event, Message, PORT};

/// Where the kernel lists the ports.
const CLASS: &str = "/sys/class/virtio-ports";

/// The kernel learns the names of ports from the host some time after it has found the device.
const PATIENCE: Duration = Duration::from_secs(20);

/// The open port.
pub(crate) struct Port {
    device: File,
    nonce: String,
}

impl Port {
    /// Waits for the port and opens it.
    pub(crate) fn open(nonce: &str) -> Result<Self, String> {
        let started = Instant::now();
        loop {
            if let Some(path) = find() {
                let device = OpenOptions::new().write(true).open(&path);
                let device = device.map_err(|error| format!("{}: {error}", path.display()))?;
                return Ok(Self { device, nonce: nonce.to_owned() });
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("no virtio-serial port is named {PORT}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends one event.
    pub(crate) fn send(&mut self, event: Event) -> Result<(), String> {
        let message = Message { nonce: self.nonce.clone(), event };
        let mut line = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
        line.push(b'\n');
        self.device.write_all(&line).map_err(|error| format!("writing to the port: {error}"))
    }
}

/// The device of the port with our name.
fn find() -> Option<PathBuf> {
    let ports = fs::read_dir(CLASS).ok()?;
    let named =
        |dir: &PathBuf| fs::read_to_string(dir.join("name")).is_ok_and(|name| name.trim_end() == PORT);
    let dir = ports.flatten().map(|entry| entry.path()).find(named)?;
    Some(PathBuf::from("/dev").join(dir.file_name()?))
}
