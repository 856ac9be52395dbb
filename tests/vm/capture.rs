// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask verify` over what really passed between the kernel's client and Samba, captured by
//! QEMU: as it was, and as captures are that lost, doubled or misplaced packets.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use report::Report;
use report::process::Cmd;
use serde_json::Value;
use vm::Verdict;
use xtask::client::{ClientSteps as _, SampleStep as Step};
use xtask::share::{self as smb, Share};

use crate::asks;
use crate::bench::{Bench, verdict_is};

/// The dialects that are mounted, as mount options and as they are reported.
const DIALECTS: [(&str, &str); 5] =
    [("2.0", "2.0.2"), ("2.1", "2.1"), ("3.0", "3.0"), ("3.0.2", "3.0.2"), ("3.1.1", "3.1.1")];

/// Longer than one segment, and than the client reads at once.
const FILE_LEN: usize = 300_000;

/// Lengths of the header of a capture in pcap, and of that of a packet.
const CAPTURE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

/// The command's exit status and its result.
fn verify(file: &Utf8Path, port: u16) -> Result<(i32, Value)> {
    let port = port.to_string();
    let cmd =
        Cmd::new(env!("CARGO_BIN_EXE_xtask")).args(["--json", "verify", "--port", &port, file.as_str()]);
    let output = cmd.finish(&Report::silent())?;
    let status = output.status.code().with_context(|| format!("killed: {}", output.tail))?;
    let text = output.text();
    Ok((status, serde_json::from_str(&text).with_context(|| format!("{}{text}", output.tail))?))
}

/// Mounts the share in every dialect, lists it, reads and writes; then asks for whatever else the
/// client asks in ways of its own (`asks`); gives the capture of it.
fn captured(bench: &Bench, server: &Share, capture: &Utf8Path) -> Result<Vec<u8>> {
    fs_err::write(server.files().join("long"), "0123456789abcdef".repeat(FILE_LEN / 16))?;
    let mut payload = bench.payload()?;
    payload.network(&bench.tree)?.insert_stock(&bench.tree, &["cifs"])?.cifs_companions(&bench.tree)?;
    for (option, _) in DIALECTS {
        payload.mount_share(smb::NAME, server.port(), &format!("vers={option},sec=none"), "/mnt");
        payload
            .step(Step::ListDirectory { path: "/mnt".to_owned() })
            .step(Step::ReadFile { path: "/mnt/long".to_owned() })
            .step(Step::WriteFile { path: format!("/mnt/written-{option}"), content: option.to_owned() })
            .step(Step::Unmount { target: "/mnt".to_owned() });
    }
    asks::ask(&mut payload, server.port());
    payload.remove("cifs");
    let run = bench.run("capture", &payload, |machine| machine.capture = Some(capture.to_owned()))?;
    verdict_is(&run, Verdict::Pass)?;
    Ok(fs_err::read(capture)?)
}

/// The packets of a capture in pcap, each with its header.
fn packets(capture: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    let mut rest = &capture[CAPTURE_HEADER..];
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let (packet, after) = rest.split_at(PACKET_HEADER + length);
        packets.push(packet);
        rest = after;
    }
    packets
}

/// A capture of these packets, with the header of another, and the verdict on it.
fn verify_these(bench: &Bench, whole: &[u8], packets: &[&[u8]], port: u16) -> Result<(i32, Value)> {
    let file = bench.logs.join("changed.pcap");
    fs_err::write(&file, [&whole[..CAPTURE_HEADER], &packets.concat()].concat())?;
    verify(&file, port)
}

/// The whole story: honest, then lost, doubled and misplaced packets, then a reply that is spoilt.
pub(crate) fn verdicts(bench: &Bench) -> Result<()> {
    let server = Share::serve_as(&bench.context.report, asks::SHARES)?;
    let file = bench.logs.join("whole.pcap");
    let whole = captured(bench, &server, &file)?;
    let (status, honest) = verify(&file, server.port())?;
    honest_is_sound(status, &honest)?;
    asks::are_as_the_verifier_takes_them(&whole)?;
    imperfect_captures(bench, &whole, &honest, server.port())?;
    spoilt_reply(bench, &whole, server.port())
}

/// Nothing that Samba sent to the client breaks a rule of either level.
fn honest_is_sound(status: i32, result: &Value) -> Result<()> {
    let counts = &result["counts"];
    eprintln!("capture: {counts}");
    let broken = ["rejected", "linux", "strict"].iter().any(|verdict| counts[verdict] != 0);
    ensure!(status == 0 && !broken, "status {status}: {result:#}");
    // A mount that is referred elsewhere makes more than one.
    let mounts = (DIALECTS.len() + asks::MOUNTS) as u64;
    ensure!(result["connections"].as_u64() >= Some(mounts) && result["signed"] == 0, "{result:#}");
    let unjudged = result["unjudged"].as_object().context("no object")?;
    ensure!(unjudged.values().all(|many| *many == 0), "{result:#}");
    let judged = |command: &str, dialect: &str| {
        let rows = result["by_command"].as_array();
        rows.is_some_and(|rows| rows.iter().any(|row| row["command"] == command && row["dialect"] == dialect))
    };
    for (_, dialect) in DIALECTS {
        for command in [
            "NEGOTIATE",
            "SESSION_SETUP",
            "TREE_CONNECT",
            "CREATE",
            "QUERY_INFO",
            "QUERY_DIRECTORY",
            "READ",
            "WRITE",
        ] {
            ensure!(judged(command, dialect), "no {command} of {dialect}: {result:#}");
        }
    }
    Ok(())
}

/// What captures lack or have twice costs verdicts at most, and never makes one up.
fn imperfect_captures(bench: &Bench, whole: &[u8], honest: &Value, port: u16) -> Result<()> {
    let all = packets(whole);
    let doubled: Vec<_> = all.iter().flat_map(|packet| [*packet, *packet]).collect();
    let misplaced: Vec<_> = all.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
    for (what, packets) in [("doubled", doubled), ("misplaced", misplaced)] {
        let (status, result) = verify_these(bench, whole, &packets, port)?;
        eprintln!("capture, {what}: {}, {}", result["counts"], result["unjudged"]);
        ensure!(status == 0 && result["counts"] == honest["counts"], "{what}: {result:#}");
    }
    for every in [5, 17, 50] {
        let some = all.iter().enumerate().filter(|(nth, _)| nth % every != every - 1);
        let (status, result) =
            verify_these(bench, whole, &some.map(|(_, packet)| *packet).collect::<Vec<_>>(), port)?;
        eprintln!("capture, without every {every}th: {}, {}", result["counts"], result["unjudged"]);
        ensure!(status == 0 && result["unjudged"]["missing_bytes"].as_u64() > Some(0), "{every}: {result:#}");
        ensure!(result["counts"]["rejected"] == 0 && result["counts"]["strict"] == 0, "{every}: {result:#}");
        ensure!(result["counts"]["replies"].as_u64() < honest["counts"]["replies"].as_u64(), "{result:#}");
        ensure!(result["counts"]["replies"].as_u64() > Some(20), "{every}: {result:#}");
    }
    let (status, result) = verify_these(bench, whole, &all[all.len() / 2..], port)?;
    ensure!(status == 0 && result["counts"]["replies"].as_u64() > Some(20), "begun late: {result:#}");
    let file = bench.logs.join("cut.pcap");
    fs_err::write(&file, &whole[..whole.len() - 7])?;
    let (status, result) = verify(&file, port)?;
    ensure!(status == 0 && result["packets"] == all.len() - 1, "cut: {result:#}");
    Ok(())
}

/// One CREATE reply whose contexts lie outside it: status 1, the rule, the packet.
fn spoilt_reply(bench: &Bench, whole: &[u8], port: u16) -> Result<()> {
    let mut spoilt = whole.to_vec();
    let reply = whole
        .windows(152)
        .position(|at| at.starts_with(b"\xfeSMB\x40\0") && at[8..14] == [0, 0, 0, 0, 5, 0] && at[16] & 1 == 1)
        .context("no successful CREATE reply in the capture")?;
    spoilt[reply + 148..reply + 152].copy_from_slice(&4096u32.to_le_bytes());
    let file = bench.logs.join("spoilt.pcap");
    fs_err::write(&file, &spoilt)?;
    let (status, result) = verify(&file, port)?;
    ensure!(status == 1 && result["counts"]["rejected"] == 1, "status {status}: {result:#}");
    let found = &result["replies"][0];
    ensure!(found["verdict"] == "rejected" && found["command"] == "CREATE", "{found:#}");
    let before = |packet: u64| {
        let packets = packets(whole);
        let count = usize::try_from(packet).unwrap_or(0);
        CAPTURE_HEADER + packets[..count].iter().map(|packet| packet.len()).sum::<usize>()
    };
    let packet = found["packet"].as_u64().context("no packet")?;
    ensure!((before(packet - 1)..before(packet)).contains(&reply), "packet {packet}: {found:#}");
    Ok(())
}
