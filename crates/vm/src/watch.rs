// SPDX-License-Identifier: GPL-2.0
//! What is seen of a machine while it runs, and when there is a reason to end it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use vm_protocol::{Event, ExtraStep, GuestPlan, Message};

use crate::accelerator::Accelerator;
use crate::child_process::ChildProcess;
use crate::connection::connection;
use crate::console::Scanner;
use crate::limits::Limits;
use crate::run::Run;
use crate::verdict::{self, Ending, Evidence};

/// After trouble was seen the machine runs on for this long, so that the trace is whole.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// How often the console and the limits are looked at, when the port is silent.
const TICK: Duration = Duration::from_millis(25);

/// A line on the port is cut here; an honest one is far shorter.
const LINE_LIMIT: u64 = 16 << 20;

/// What is seen of a machine while it runs.
pub(crate) struct Watch<'a, X> {
    plan: &'a GuestPlan<X>,
    limits: Limits,
    listener: UnixListener,
    port: Option<Receiver<Vec<u8>>>,
    /// Where to write what the guest reads on the port.
    to_guest: Option<UnixStream>,
    console: fs_err::File,
    pub(crate) scanner: Scanner,
    pub(crate) goes_on: bool,
    events: Vec<Event>,
    foreign: usize,
    started: Instant,
    last_sign: Instant,
    boot: Option<Duration>,
    trouble: Option<Instant>,
}

impl<'a, X: ExtraStep> Watch<'a, X> {
    /// A watch over a machine that is being started.
    pub(crate) fn new(
        plan: &'a GuestPlan<X>,
        listener: UnixListener,
        console: &Utf8Path,
        limits: Limits,
    ) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Self {
            plan,
            limits,
            listener,
            port: None,
            to_guest: None,
            console: fs_err::File::open(console)?,
            scanner: Scanner::default(),
            events: Vec::new(),
            foreign: 0,
            started: now,
            last_sign: now,
            boot: None,
            trouble: None,
            goes_on: false,
        })
    }

    /// Watches until there is a reason to end the machine, and ends it.
    pub(crate) fn until_end(
        &mut self,
        mut qemu: ChildProcess,
        on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
    ) -> Result<Ending> {
        let ending = self.until_reason(&mut qemu, on_event)?;
        drop(qemu);
        self.drain_port(on_event);
        self.read_console()?;
        self.scanner.end_line();
        Ok(ending)
    }

    /// Watches until there is a reason to end the machine, or it waits.
    pub(crate) fn until_reason(
        &mut self,
        qemu: &mut ChildProcess,
        on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
    ) -> Result<Ending> {
        loop {
            // Asked before the channels are read: what QEMU wrote before it ended is then all
            // there.
            let ended = qemu.ended()?;
            self.read_port(on_event)?;
            self.read_console()?;
            if let Some(ending) = ended.or_else(|| self.reason_to_end()) {
                return Ok(ending);
            }
        }
    }

    /// Takes what a machine reported before it was saved.
    pub(crate) fn recall(&mut self, events: &[Event], on_event: &mut impl FnMut(&GuestPlan<X>, &Event)) {
        for event in events {
            self.event(event);
            on_event(self.plan, event);
            self.events.push(event.clone());
        }
        self.boot = None;
    }

    /// Waits for QEMU to connect to the port, and writes this to it as the guest reads it.
    pub(crate) fn send(&mut self, qemu: &mut ChildProcess, bytes: Vec<u8>) -> Result<()> {
        while self.to_guest.is_none() {
            if let Some(ending) = qemu.ended()?.or_else(|| self.reason_to_end()) {
                bail!("the port was not opened: {ending:?}");
            }
            self.accept()?;
        }
        let mut port = self.to_guest.as_ref().expect("it is connected").try_clone()?;
        // A guest that reads no further must not keep the watch from seeing it. The thread ends
        // with QEMU at the latest.
        thread::spawn(move || port.write_all(&bytes).ok());
        Ok(())
    }

    /// What was reported, and what there is to be said against it.
    pub(crate) fn seen(mut self) -> Result<(Vec<Event>, Option<String>)> {
        self.read_console()?;
        self.scanner.end_line();
        let hit = self.scanner.hits().first().map(|hit| hit.line.clone());
        let foreign = (self.foreign > 0).then(|| "a line on the port is not of this run".to_owned());
        Ok((self.events, hit.or(foreign)))
    }

    fn reason_to_end(&self) -> Option<Ending> {
        if matches!(self.events.last(), Some(Event::Finished { .. })) {
            return Some(Ending::Finished);
        }
        if self.plan.waits && matches!(self.events.last(), Some(Event::Waiting { .. })) {
            return Some(Ending::Waiting);
        }
        if !self.goes_on && self.trouble.is_some_and(|since| since.elapsed() > AFTERMATH) {
            return Some(Ending::Trouble);
        }
        let Limits { boot, idle, hard } = self.limits;
        if self.boot.is_none() && self.started.elapsed() > boot {
            return Some(Ending::BootLimit(boot));
        }
        if self.boot.is_some() && self.last_sign.elapsed() > idle {
            return Some(Ending::IdleLimit(idle));
        }
        (self.started.elapsed() > hard).then_some(Ending::HardLimit(hard))
    }

    /// Waits a moment for a line on the port.
    fn read_port(&mut self, on_event: &mut impl FnMut(&GuestPlan<X>, &Event)) -> Result<()> {
        let Some(port) = &self.port else { return self.accept() };
        match port.recv_timeout(TICK) {
            Ok(line) => self.line(&line, on_event),
            Err(RecvTimeoutError::Timeout) => {}
            // QEMU has ended or is about to; until it has, do not spin.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
        }
        Ok(())
    }

    /// Waits a moment for QEMU to connect to the port.
    fn accept(&mut self) -> Result<()> {
        let Some(stream) =
            connection(&self.listener, TICK).context("waiting for QEMU to connect to the port")?
        else {
            return Ok(());
        };
        self.to_guest = Some(stream.try_clone()?);
        self.port = Some(lines_of(stream));
        Ok(())
    }

    /// Takes what is left on the port of a machine that has ended.
    fn drain_port(&mut self, on_event: &mut impl FnMut(&GuestPlan<X>, &Event)) {
        let lines: Vec<Vec<u8>> = self.port.take().into_iter().flatten().collect();
        for line in lines {
            self.line(&line, on_event);
        }
    }

    /// Takes one line from the port.
    fn line(&mut self, line: &[u8], on_event: &mut impl FnMut(&GuestPlan<X>, &Event)) {
        self.last_sign = Instant::now();
        match serde_json::from_slice::<Message>(line) {
            Ok(message) if message.nonce == self.plan.nonce => {
                self.event(&message.event);
                on_event(self.plan, &message.event);
                self.events.push(message.event);
            }
            _ => self.foreign += 1,
        }
    }

    /// What an event tells besides being reported.
    fn event(&mut self, event: &Event) {
        self.boot.get_or_insert_with(|| self.started.elapsed());
        let log = match event {
            Event::Hello { log, .. }
            | Event::StepEnded { log, .. }
            | Event::Waiting { log, .. }
            | Event::Finished { log, .. } => log.as_slice(),
            Event::StepStarted { .. } | Event::Broken { .. } => &[],
        };
        for line in log {
            self.scanner.message(&line.text);
        }
        if matches!(event, Event::Hello { .. }) {
            self.scanner.init_runs();
        }
        self.note_trouble();
    }

    fn read_console(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.console.read_to_end(&mut bytes)?;
        if !bytes.is_empty() {
            self.last_sign = Instant::now();
            self.scanner.feed(&bytes);
            self.note_trouble();
        }
        Ok(())
    }

    fn note_trouble(&mut self) {
        if self.trouble.is_none() && !self.scanner.hits().is_empty() {
            self.trouble = Some(Instant::now());
        }
    }

    /// The run, judged.
    pub(crate) fn run(self, ending: &Ending, accelerator: Accelerator, console_log: &Utf8Path) -> Run {
        let hits = self.scanner.hits();
        let (excused, foreign) = (self.scanner.excused(), self.foreign);
        let plan = self.plan;
        let evidence = Evidence { plan, events: &self.events, hits, excused, ending, foreign };
        Run {
            judgement: verdict::judge(&evidence),
            boot: self.boot,
            warm: false,
            wall: self.started.elapsed(),
            accelerator,
            console_log: console_log.to_owned(),
            events: self.events,
        }
    }
}

/// The lines that arrive on the port.
fn lines_of(stream: UnixStream) -> Receiver<Vec<u8>> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_this_run_count() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("console"), "").unwrap();
        let plan: GuestPlan = GuestPlan { nonce: "mine".into(), early: vec![], steps: vec![], waits: false };
        let listener = UnixListener::bind(dir.join("port")).unwrap();
        let mut watch = Watch::new(&plan, listener, &dir.join("console"), Limits::default()).unwrap();
        let mut seen = 0;
        let mut on_event = |_: &GuestPlan, _: &Event| seen += 1;
        for nonce in ["mine", "another"] {
            let message = Message { nonce: nonce.into(), event: Event::Finished { tainted: 0, log: vec![] } };
            watch.line(&serde_json::to_vec(&message).unwrap(), &mut on_event);
        }
        watch.line(b"noise\n", &mut on_event);
        assert_eq!((seen, watch.events.len(), watch.foreign), (1, 1, 2));
        assert_eq!(watch.reason_to_end(), Some(Ending::Finished));
    }
}
