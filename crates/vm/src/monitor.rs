// SPDX-License-Identifier: GPL-2.0
//! QEMU's monitor (QMP): saves a machine's devices, and has a machine go on from there. Its memory
//! is in a file that is not written by this (`x-ignore-shared`).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;
use qapi::qmp::{
    MigrationCapability, MigrationCapabilityStatus, MigrationStatus, QmpCommand, RunState, cont, migrate,
    migrate_incoming, migrate_set_capabilities, query_migrate, query_status, stop,
};
use qapi::{Command, Qmp, Stream};

use crate::connection::connection;

/// How long QEMU may take for any answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked how far it is.
const PAUSE: Duration = Duration::from_millis(1);

/// The devices of a small machine take a megabyte or two.
const STATE_LIMIT: u64 = 64 << 20;

/// A connection to the monitor.
pub(crate) struct Monitor {
    qmp: Qmp<Stream<BufReader<UnixStream>, UnixStream>>,
}

impl Monitor {
    /// Waits for QEMU to connect.
    pub(crate) fn accept(listener: &UnixListener) -> Result<Self> {
        let stream = connection(listener, PATIENCE)?.context("QEMU did not open its monitor")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        ensure!(!reader.fill_buf()?.is_empty(), "QEMU ended before its monitor said anything");
        let mut qmp = Qmp::new(Stream::new(reader, stream));
        qmp.handshake().context("QEMU's monitor")?;
        let mut monitor = Self { qmp };
        let shared =
            MigrationCapabilityStatus { capability: MigrationCapability::x_ignore_shared, state: true };
        monitor.execute(&migrate_set_capabilities { capabilities: vec![shared] })?;
        Ok(monitor)
    }

    fn execute<C: Command + QmpCommand>(&mut self, command: &C) -> Result<C::Ok> {
        self.qmp.execute(command).with_context(|| format!("QEMU's monitor: {}", C::NAME))
    }

    /// Stops the machine and gives the state of its devices, which QEMU writes to `socket`.
    pub(crate) fn save(&mut self, socket: &Utf8Path) -> Result<Vec<u8>> {
        let listener = UnixListener::bind(socket)?;
        let reader = thread::spawn(move || -> Result<Vec<u8>> {
            let stream = connection(&listener, PATIENCE)?.context("QEMU did not begin to save")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut state = Vec::new();
            stream.take(STATE_LIMIT).read_to_end(&mut state)?;
            Ok(state)
        });
        self.execute(&stop {})?;
        let uri = Some(format!("unix:{socket}"));
        self.execute(&migrate { uri, channels: None, detach: None, resume: None })?;
        self.until("saving", |monitor| {
            let info = monitor.execute(&query_migrate {})?;
            match info.status {
                Some(MigrationStatus::completed) => Ok(true),
                Some(MigrationStatus::failed | MigrationStatus::cancelled) => {
                    bail!("saving failed: {}", info.error_desc.unwrap_or_default())
                }
                _ => Ok(false),
            }
        })?;
        reader.join().expect("reading does not panic")
    }

    /// Gives a machine that was started to go on the state of its devices, and lets it.
    pub(crate) fn restore(&mut self, state: &[u8], socket: &Utf8Path) -> Result<()> {
        let uri = Some(format!("unix:{socket}"));
        self.execute(&migrate_incoming { uri, channels: None, exit_on_error: None })?;
        let mut stream = UnixStream::connect(socket).context("handing QEMU the devices' state")?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(state)?;
        stream.shutdown(Shutdown::Write)?;
        self.until("going on", |monitor| {
            let status = monitor.execute(&query_status {})?.status;
            Ok(!matches!(status, RunState::inmigrate | RunState::finish_migrate))
        })?;
        self.execute(&cont {})?;
        Ok(())
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while !done(self)? {
            ensure!(started.elapsed() < PATIENCE, "{what} took longer than {} s", PATIENCE.as_secs());
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
