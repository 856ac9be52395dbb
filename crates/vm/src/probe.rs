// SPDX-License-Identifier: GPL-2.0
//! Chooses how the machine's instructions are executed.
//!
//! That `/dev/kvm` exists proves nothing: inside some containers and nested machines it can be
//! opened, and a kernel started on it never gets to its first instruction that matters. So a kernel
//! is started, and its first line waited for.

use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::accelerator::Accelerator;
use crate::board::Board;
use kernel::context::Context;
use kernel::machine::{facts, programs};
use kmodfile::architecture::Architecture;
use report::durable;
use report::process::Cmd;

/// What was found, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Finding {
    /// What it was found with: another boot, or another QEMU, may give another answer.
    key: String,
    accelerator: Accelerator,
    why: String,
}

/// The first line of a kernel on KVM is there within a tenth of a second.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// The accelerator for kernels of `architecture` on this machine; `vmlinux` is started for a moment
/// if that is not known yet. When it is not KVM, one line says why.
pub fn choose(context: &Context, architecture: Architecture, vmlinux: &Utf8Path) -> Result<Accelerator> {
    if Architecture::native() != Some(architecture) {
        context
            .report
            .note("Emulating", &format!("{architecture}: this machine's processors are of another kind"));
        return Ok(Accelerator::Tcg);
    }
    let board = Board::of(architecture);
    let place = context.cache.path("accelerator.json");
    let key = key(board);
    let known = fs_err::read(&place).ok().and_then(|bytes| serde_json::from_slice::<Finding>(&bytes).ok());
    let finding = match known.filter(|finding| finding.key == key) {
        Some(finding) => finding,
        None => {
            let finding = probe(context, board, vmlinux, key)?;
            durable::replace(&place, &serde_json::to_vec(&finding)?)?;
            finding
        }
    };
    if finding.accelerator == Accelerator::Tcg {
        context.report.note("Emulating", &format!("without KVM: {}", finding.why));
    }
    Ok(finding.accelerator)
}

/// This boot of this machine, its `/dev/kvm` and its QEMU.
fn key(board: &Board) -> String {
    let boot = facts::boot_id().unwrap_or_default();
    let kvm = Utf8Path::new("/dev/kvm").exists();
    let user = rustix::process::geteuid().as_raw();
    let qemu = programs::find(board.qemu()).and_then(|path| path.metadata().ok()?.modified().ok());
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let qemu = qemu.map_or(0, |time| since(time).as_nanos());
    format!("probe 2 {} kvm={kvm} user={user} qemu={qemu}", boot)
}

fn probe(context: &Context, board: &Board, vmlinux: &Utf8Path, key: String) -> Result<Finding> {
    let tcg = |why: String| Finding { key: key.clone(), accelerator: Accelerator::Tcg, why };
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(tcg(match error.kind() {
            std::io::ErrorKind::NotFound => "this machine has no /dev/kvm".to_owned(),
            std::io::ErrorKind::PermissionDenied => {
                "/dev/kvm may not be opened by this user (add it to the group kvm)".to_owned()
            }
            _ => format!("/dev/kvm cannot be opened: {error}"),
        }));
    }
    let mut tried = Vec::new();
    for processor in board.on_kvm {
        let accelerator = Accelerator::Kvm(*processor);
        let cmd = probe_command(board, accelerator, vmlinux);
        context.report.command(&cmd.line());
        let line = first_line(&cmd)?;
        if line.as_ref().is_some_and(|line| line.contains("Linux version")) {
            return Ok(Finding { key, accelerator, why: "a kernel starts on it".to_owned() });
        }
        tried.push(line);
    }
    Ok(tcg(why_not(&tried)))
}

/// Why KVM is not used, by what was printed first with each processor that was tried.
fn why_not(tried: &[Option<String>]) -> String {
    // A kernel that says nothing at all was started, and does not run: many hosts in a cloud let
    // only guests with drivers of their own in.
    if tried.contains(&None) {
        return "KVM is there and runs no stock kernel: this machine's host is paravirtual".to_owned();
    }
    let said = tried.iter().flatten().next().map_or("nothing", String::as_str);
    format!("KVM is there, but QEMU says: {said}")
}

fn probe_command(board: &Board, accelerator: Accelerator, vmlinux: &Utf8Path) -> Cmd {
    let parameters = format!("earlyprintk={0} earlycon console={0} panic=-1", board.console);
    board
        .command()
        .bound("KILL")
        .args(["-no-user-config", "-nodefaults", "-display", "none", "-vga", "none", "-no-reboot"])
        .args(["-machine", board.direct, "-accel", "kvm", "-cpu", board.cpu(accelerator), "-m", "256"])
        .args(["-kernel", vmlinux.as_str(), "-append", &parameters])
        .args(["-serial", "stdio", "-monitor", "none"])
}

/// The first line that `cmd` prints on either output, waited for not longer than the limit; `cmd`
/// is killed then.
fn first_line(cmd: &Cmd) -> Result<Option<String>> {
    let mut child = cmd.spawn(Stdio::piped(), Stdio::piped())?;
    let (sender, lines) = mpsc::channel();
    let out = child.stdout.take().expect("is piped");
    let err = child.stderr.take().expect("is piped");
    let readers = [
        thread::spawn({
            let sender = sender.clone();
            move || send_first_line(out, &sender)
        }),
        thread::spawn(move || send_first_line(err, &sender)),
    ];
    let line = lines.recv_timeout(PROBE_LIMIT).ok();
    child.kill().ok();
    child.wait()?;
    for reader in readers {
        reader.join().expect("a reader thread does not panic");
    }
    Ok(line)
}

fn send_first_line(mut pipe: impl std::io::Read, sender: &mpsc::Sender<String>) {
    let mut text = Vec::new();
    let mut byte = [0];
    while pipe.by_ref().read(&mut byte).is_ok_and(|length| length == 1) {
        if byte[0] == b'\n' {
            let line = String::from_utf8_lossy(&text).trim().to_owned();
            // QEMU warns of features that the processor lacks, and goes on.
            if !line.is_empty() && !line.contains("warning:") {
                sender.send(line).ok();
                return;
            }
            text.clear();
        } else if text.len() < 4096 {
            text.push(byte[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accelerator::KvmProcessor;

    #[test]
    fn first_line_skips_warnings() {
        let cmd = Cmd::new("sh").args(["-c", "echo 'x: warning: no SSE' >&2; echo >&2; echo 'x: error' >&2"]);
        assert_eq!(first_line(&cmd).unwrap().as_deref(), Some("x: error"));
        assert_eq!(first_line(&Cmd::new("true")).unwrap(), None);
    }

    #[test]
    fn findings_survive_the_cache() {
        let found = KvmProcessor::ALL.map(Accelerator::Kvm).into_iter().chain([Accelerator::Tcg]);
        for accelerator in found {
            let finding = Finding { key: "k".into(), accelerator, why: "w".into() };
            let text = serde_json::to_string(&finding).unwrap();
            assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding);
        }
    }

    #[test]
    fn why_not_is_said_to_people() {
        let said = |text: &str| Some(text.to_owned());
        let msr = said("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69");
        // As on a nested machine of a cloud.
        assert_eq!(
            why_not(&[msr.clone(), None, None]),
            "KVM is there and runs no stock kernel: this machine's host is paravirtual"
        );
        assert!(why_not(&[msr.clone(), msr.clone(), msr]).contains("MSR 0x10a"));
    }

    #[test]
    fn less_of_the_processor_is_tried_after_more() {
        let asked = Board::of(Architecture::Amd64).on_kvm.iter().map(|processor| {
            let line =
                probe_command(Board::of(Architecture::Amd64), Accelerator::Kvm(*processor), "/k".into())
                    .line();
            line.split(" -cpu ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
        });
        assert_eq!(asked.collect::<Vec<_>>(), ["host", "host,arch-capabilities=off", "kvm64"]);
    }
}
