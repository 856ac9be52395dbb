// SPDX-License-Identifier: GPL-2.0
//! Runs one machine from QEMU's start to the verdict.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use vm_protocol::{Event, ExtraStep, GuestPlan, Message, NoExtraStep};

use crate::accelerator::Accelerator;
use crate::console::Scanner;
use crate::payload::Payload;
use crate::probe;
use crate::qemu::{self, Arguments, Boot};
use crate::secure_boot::SecureBoot;
use crate::verdict::{self, Ending, Evidence, Judgement};
use kernel::context::Context;

/// How long a run may take, on a machine with KVM; without it, each limit is multiplied
/// ([`Accelerator::slowdown`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From QEMU's start to the greeting of init.
    pub boot: Duration,
    /// Without a byte on the console or the port. Longer than the guest's own detectors of hangs
    /// take (`qemu.rs`), which tell more.
    pub idle: Duration,
    /// Altogether.
    pub hard: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { boot: secs(25), idle: secs(25), hard: secs(200) }
    }
}

impl Limits {
    /// One limit for everything, as a person said it.
    pub fn exactly(limit: Duration) -> Self {
        Self { boot: limit, idle: limit, hard: limit }
    }

    /// Those of a kernel that checks what it does, and is slower by that. Longer than the detectors
    /// of hangs in it (`boot.rs`).
    pub fn of_sanitizing() -> Self {
        let secs = Duration::from_secs;
        Self { boot: secs(100), idle: secs(60), hard: secs(600) }
    }

    fn scaled(self, factor: u32) -> Self {
        Self { boot: self.boot * factor, idle: self.idle * factor, hard: self.hard * factor }
    }
}

/// After trouble was seen the machine runs on for this long, so that the trace is whole.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// How often the console and the limits are looked at, when the port is silent.
const TICK: Duration = Duration::from_millis(25);

/// A line on the port is cut here; an honest one is far shorter.
const LINE_LIMIT: u64 = 16 << 20;

/// A machine, ready to run.
#[derive(Clone, Debug)]
pub struct Machine<'a, X = NoExtraStep> {
    /// An uncompressed kernel ([`super::kernel_image::vmlinux`]) for the payload's architecture.
    pub vmlinux: &'a Utf8Path,
    /// The init, and what it does in there.
    pub payload: &'a Payload<X>,
    /// Gets the console log, from the first byte.
    pub console_log: &'a Utf8Path,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// Firmware, boot loader and disk of a machine with Secure Boot; without them QEMU starts
    /// `vmlinux` itself.
    pub secure_boot: Option<SecureBoot<'a>>,
    /// Further kernel parameters.
    pub append: Vec<String>,
    /// Kernel messages that hold one of these words are no trouble, whatever they look like.
    pub allowed: Vec<String>,
    /// How long it may take.
    pub limits: Limits,
    /// Whether a run goes on after trouble that the kernel survives: what a sanitizing kernel finds
    /// does not keep it from finding more.
    pub goes_on: bool,
    /// How instructions are executed; `None` finds out, and says why when it is not KVM. For
    /// several runs, ask [`probe::choose`] once.
    pub accelerator: Option<Accelerator>,
    /// Gets what passes over the machine's network, as pcap, if there is a network.
    pub capture: Option<Utf8PathBuf>,
    /// Whether instructions are counted: the guest's clock goes on by a nanosecond with each.
    /// Emulated only.
    pub counted: bool,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// The verdict and why.
    pub judgement: Judgement,
    /// What the guest reported.
    pub events: Vec<Event>,
    /// From QEMU's start to the greeting of init, if it came.
    pub boot: Option<Duration>,
    /// From QEMU's start to its end.
    pub wall: Duration,
    /// How instructions were executed.
    pub accelerator: Accelerator,
    /// The console log.
    pub console_log: Utf8PathBuf,
}

impl Run {
    /// What step `index` of the plan brought back.
    pub fn output(&self, index: usize) -> Option<&str> {
        self.events.iter().find_map(|event| match event {
            Event::StepEnded { index: at, output, .. } if *at == index => output.as_deref(),
            _ => None,
        })
    }
}

impl<'a, X: ExtraStep> Machine<'a, X> {
    /// A machine with one processor and enough memory for a few modules.
    pub fn new(vmlinux: &'a Utf8Path, payload: &'a Payload<X>, console_log: &'a Utf8Path) -> Self {
        Self {
            vmlinux,
            payload,
            console_log,
            memory: 256,
            processors: 1,
            secure_boot: None,
            append: Vec::new(),
            allowed: Vec::new(),
            limits: Limits::default(),
            goes_on: false,
            accelerator: None,
            capture: None,
            counted: false,
        }
    }

    /// Runs it to the verdict. `on_event` is told what the guest reports, as it does.
    ///
    /// # Errors
    ///
    /// If QEMU cannot be started or files cannot be written. Whatever happens from then on is a
    /// verdict.
    pub fn run(&self, context: &Context, mut on_event: impl FnMut(&GuestPlan<X>, &Event)) -> Result<Run> {
        let architecture = self.payload.architecture();
        let accelerator = match self.accelerator {
            Some(accelerator) => accelerator,
            None => probe::choose(context, architecture, self.vmlinux)?,
        };
        // A path of a socket is short (unix(7)), and the cache's may not be.
        let dir = tempfile::Builder::new().prefix("vm-").tempdir()?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not UTF-8")?;
        let plan = self.payload.plan(&nonce()?);
        let initrd = dir.join("initramfs.cpio");
        fs_err::write(&initrd, self.payload.initramfs(&plan)?)?;
        let port = dir.join("port");
        let listener = UnixListener::bind(&port).with_context(|| format!("listening on {port}"))?;
        let parameters = qemu::kernel_parameters(architecture, accelerator, self.processors, &self.append);
        let firmware = self
            .secure_boot
            .map(|secure_boot| secure_boot.lay_out(context, dir, &initrd, &parameters))
            .transpose()?;
        let boot = match &firmware {
            Some(firmware) => Boot::Firmware(firmware),
            None => Boot::Direct { vmlinux: self.vmlinux, initrd: &initrd, parameters: &parameters },
        };
        let cmd = qemu::command(&Arguments {
            architecture,
            accelerator,
            boot,
            memory: self.memory,
            processors: self.processors,
            console: self.console_log,
            port: &port,
            network: self.payload.needs_network(),
            forward: self.payload.forwarded(),
            capture: self.capture.as_deref(),
            counted: self.counted,
        });
        // The log of an earlier run must not be judged again.
        fs_err::write(self.console_log, "")?;
        context.report.command(&cmd.line());
        let qemu = Qemu::watch(cmd.spawn(Stdio::null(), Stdio::piped())?);
        let limits = self.limits.scaled(accelerator.slowdown());
        let mut watch = Watch::new(&plan, listener, self.console_log, limits)?;
        watch.scanner = Scanner::allowing(&self.allowed);
        watch.goes_on = self.goes_on;
        let ending = watch.until_end(qemu, &mut on_event)?;
        Ok(watch.run(&ending, accelerator, self.console_log))
    }
}

/// QEMU while it runs; killed when dropped, so that no error leaves it behind.
struct Qemu {
    child: Child,
    stderr: Option<JoinHandle<String>>,
}

impl Qemu {
    fn watch(mut child: Child) -> Self {
        let stderr = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = Vec::new();
                pipe.read_to_end(&mut text).ok();
                String::from_utf8_lossy(&text).trim_end().to_owned()
            })
        });
        Self { child, stderr }
    }

    /// How QEMU ended, if it has ended by itself.
    fn ended(&mut self) -> Result<Option<Ending>> {
        let Some(status) = self.child.try_wait().context("waiting for QEMU")? else { return Ok(None) };
        if status.success() {
            return Ok(Some(Ending::Reset));
        }
        let said = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Ok(Some(Ending::Died(died(status, &said))))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What to say of a QEMU that ended with an error.
fn died(status: ExitStatus, said: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("QEMU ended with status {code}"),
        (None, Some(signal)) => format!("QEMU was killed by signal {signal}"),
        (None, None) => "QEMU ended abnormally".to_owned(),
    };
    if said.is_empty() { how } else { format!("{how}: {said}") }
}

/// What is seen of a machine while it runs.
struct Watch<'a, X> {
    plan: &'a GuestPlan<X>,
    limits: Limits,
    listener: UnixListener,
    port: Option<Receiver<Vec<u8>>>,
    console: fs_err::File,
    scanner: Scanner,
    goes_on: bool,
    events: Vec<Event>,
    foreign: usize,
    started: Instant,
    last_sign: Instant,
    boot: Option<Duration>,
    trouble: Option<Instant>,
}

impl<'a, X: ExtraStep> Watch<'a, X> {
    fn new(
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
    fn until_end(
        &mut self,
        mut qemu: Qemu,
        on_event: &mut impl FnMut(&GuestPlan<X>, &Event),
    ) -> Result<Ending> {
        let ending = loop {
            // Asked before the channels are read: what QEMU wrote before it ended is then all
            // there.
            let ended = qemu.ended()?;
            self.read_port(on_event)?;
            self.read_console()?;
            if let Some(ending) = ended.or_else(|| self.reason_to_end()) {
                break ending;
            }
        };
        drop(qemu);
        self.drain_port(on_event);
        self.read_console()?;
        self.scanner.end_line();
        Ok(ending)
    }

    fn reason_to_end(&self) -> Option<Ending> {
        if matches!(self.events.last(), Some(Event::Finished { .. })) {
            return Some(Ending::Finished);
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
        let Some(port) = &self.port else {
            match self.listener.accept() {
                Ok((stream, _)) => self.port = Some(lines_of(stream)?),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => thread::sleep(TICK),
                Err(error) => return Err(error).context("waiting for QEMU to connect to the port"),
            }
            return Ok(());
        };
        match port.recv_timeout(TICK) {
            Ok(line) => self.line(&line, on_event),
            Err(RecvTimeoutError::Timeout) => {}
            // QEMU has ended or is about to; until it has, do not spin.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
        }
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
        let log = match event {
            Event::Hello { log, .. } => {
                self.boot.get_or_insert_with(|| self.started.elapsed());
                log
            }
            Event::StepEnded { log, .. } | Event::Finished { log, .. } => log,
            Event::StepStarted { .. } | Event::Broken { .. } => return,
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
    fn run(self, ending: &Ending, accelerator: Accelerator, console_log: &Utf8Path) -> Run {
        let hits = self.scanner.hits();
        let (excused, foreign) = (self.scanner.excused(), self.foreign);
        let plan = self.plan;
        let evidence = Evidence { plan, events: &self.events, hits, excused, ending, foreign };
        Run {
            judgement: verdict::judge(&evidence),
            boot: self.boot,
            wall: self.started.elapsed(),
            accelerator,
            console_log: console_log.to_owned(),
            events: self.events,
        }
    }
}

/// The lines that arrive on the port.
fn lines_of(stream: UnixStream) -> Result<Receiver<Vec<u8>>> {
    stream.set_nonblocking(false)?;
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
    Ok(lines)
}

/// 128 random bits in hexadecimal digits.
fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ() {
        let first = nonce().unwrap();
        assert_eq!(first.len(), 32);
        assert_ne!(first, nonce().unwrap());
    }

    #[test]
    fn only_messages_of_this_run_count() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("console"), "").unwrap();
        let plan: GuestPlan = GuestPlan { nonce: "mine".into(), early: vec![], steps: vec![] };
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

    #[test]
    fn qemu_that_dies_says_why() {
        let child = report::process::Cmd::new("sh")
            .args(["-c", "echo 'no such machine' >&2; exit 1"])
            .spawn(Stdio::null(), Stdio::piped())
            .unwrap();
        let mut qemu = Qemu::watch(child);
        let ending = loop {
            if let Some(ending) = qemu.ended().unwrap() {
                break ending;
            }
            thread::sleep(TICK);
        };
        assert_eq!(ending, Ending::Died("QEMU ended with status 1: no such machine".into()));
    }
}
