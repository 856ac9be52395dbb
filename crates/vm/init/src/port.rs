// SPDX-License-Identifier: GPL-2.0
//! The virtio-serial port that events leave by, and the rest of a plan arrives at.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use vm_protocol::{Event, ExtraStep, HandedFile, Handover, Message, PORT};

/// Where the kernel lists the ports.
const CLASS: &str = "/sys/class/virtio-ports";

/// The kernel learns the names of ports from the host some time after it has found the device.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first line of a handover is not longer; the files come after it.
const LINE_LIMIT: u64 = 16 << 20;

/// The open port.
pub(crate) struct Port {
    device: BufReader<File>,
    nonce: String,
}

impl Port {
    /// Waits for the port and opens it.
    pub(crate) fn open(nonce: &str) -> Result<Self, String> {
        let started = Instant::now();
        loop {
            if let Some(path) = find(PORT) {
                let device = OpenOptions::new().read(true).write(true).open(&path);
                let device = device.map_err(|error| format!("{}: {error}", path.display()))?;
                return Ok(Self { device: BufReader::new(device), nonce: nonce.to_owned() });
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("no virtio-serial port is named {PORT}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the rest of the plan, and hands each of its files to `take`; what is sent from
    /// then on is of the new run.
    pub(crate) fn receive<X: ExtraStep>(
        &mut self,
        mut take: impl FnMut(&HandedFile, &[u8]) -> Result<(), String>,
    ) -> Result<Handover<X>, String> {
        let failed = |error: std::io::Error| format!("reading from the port: {error}");
        let mut line = Vec::new();
        self.device.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(failed)?;
        let handover: Handover<X> =
            serde_json::from_slice(&line).map_err(|error| format!("the handover: {error}"))?;
        for file in &handover.files {
            let length = usize::try_from(file.length).map_err(|error| format!("{}: {error}", file.path))?;
            let mut bytes = vec![0; length];
            self.device.read_exact(&mut bytes).map_err(failed)?;
            take(file, &bytes)?;
        }
        self.nonce.clone_from(&handover.nonce);
        Ok(handover)
    }

    /// Sends one event.
    pub(crate) fn send(&mut self, event: Event) -> Result<(), String> {
        let message = Message { nonce: self.nonce.clone(), event };
        let mut line = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
        line.push(b'\n');
        self.device.get_mut().write_all(&line).map_err(|error| format!("writing to the port: {error}"))
    }
}

/// The device of the port with this name.
pub(crate) fn find(port: &str) -> Option<PathBuf> {
    let ports = fs::read_dir(CLASS).ok()?;
    let named =
        |dir: &PathBuf| fs::read_to_string(dir.join("name")).is_ok_and(|name| name.trim_end() == port);
    let dir = ports.flatten().map(|entry| entry.path()).find(named)?;
    Some(PathBuf::from("/dev").join(dir.file_name()?))
}
