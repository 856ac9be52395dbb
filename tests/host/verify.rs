// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask verify` as a user meets it: what is no capture, what holds nothing to judge, and a
//! reply that enforcing would reject. What captures hold is tested in `capture/`, and over a real
//! client's in `tests/vm/capture.rs`.

use std::io::Write as _;

use report::Report;

use crate::tool::{Scratch, assert_refused, run};

/// A TREE_CONNECT reply for a share of this type.
fn tree_connect(share_type: u8) -> Vec<u8> {
    let mut message = vec![0; 80];
    message[..4].copy_from_slice(b"\xfeSMB");
    (message[4], message[12], message[16], message[64], message[66]) = (64, 3, 1, 16, share_type);
    message
}

/// A capture of this message from port 445 to an open connection, in pcap of raw IP.
fn capture_of(message: &[u8]) -> Vec<u8> {
    let transport = u32::try_from(message.len()).unwrap().to_be_bytes();
    let ports = [1, 189, 200, 1];
    let tcp = [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]].concat();
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    ip[3] = u8::try_from(20 + tcp.len() + 4 + message.len()).unwrap();
    let packet = [&ip[..], &tcp, &transport, message].concat();
    let length = u32::try_from(packet.len()).unwrap();
    let head = [0xa1b2_c3d4, 0, 0, 0, 65_535, 101, 0, 0, length, length].map(u32::to_le_bytes).concat();
    [head, packet].concat()
}

/// A capture of a TREE_CONNECT reply for a share of this type.
fn capture(share_type: u8) -> Vec<u8> {
    capture_of(&tree_connect(share_type))
}

/// An IOCTL reply with a referral of version 4 (MS-DFSC 2.2.5.4).
fn referral() -> Vec<u8> {
    let mut message = tree_connect(0);
    message.resize(112 + 8 + 34 + 4, 0);
    (message[12], message[64], message[66]) = (11, 49, 0);
    message[68..72].copy_from_slice(&0x0006_0194u32.to_le_bytes());
    (message[96], message[100]) = (112, 8 + 34 + 4);
    // One referral: version, length, and two places behind it.
    (message[114], message[120], message[122], message[132], message[136]) = (1, 4, 34, 34, 36);
    message
}

/// What lies behind the place could be what enforcing would reject.
#[test]
fn a_capture_that_cannot_be_read_to_its_end_is_no_success() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    // A packet of four gigabytes behind a sound reply.
    let broken = [&capture(1)[..], &[0; 8], &[0xff; 8]].concat();
    fs_err::write(&file, &broken).unwrap();
    let cmd = || scratch.tool(&["verify", file.as_str()]);
    let (status, output) = run(&cmd());
    assert!(status == 4 && output.contains("was not read to its end"), "{output}");
    let (status, output) = run(&cmd().args(["--json"]));
    assert!(status == 4 && output.contains("\"unread\"") && output.contains("\"sound\": 1"), "{output}");
    // Where something is rejected already, that is said.
    fs_err::write(&file, [&capture(9)[..], &broken[broken.len() - 16..]].concat()).unwrap();
    assert_eq!(run(&cmd()).0, 1);
}

#[test]
fn the_status_says_whether_enforcing_would_reject() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    fs_err::write(&file, capture(1)).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("1 reply judged: 1 sound"), "{output}");

    fs_err::write(&file, capture(9)).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 1, "{output}");
    let line = output.lines().find(|line| line.contains("tree-connect-share-type")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    let expected = ["1", "10.0.0.2:445", "10.0.0.1:51201", "TREE_CONNECT", "0", "rejected"];
    assert_eq!(words, [&expected[..], &["tree-connect-share-type", "66", "2.2.10"]].concat(), "{output}");
    assert!(output.contains("enforcing would reject 1 of 1 reply, whoever asked for it"), "{output}");
}

#[test]
fn what_another_client_may_have_asked_for_is_told_apart() {
    let scratch = Scratch::new();
    let file = scratch.path().join("dfs.pcap");
    fs_err::write(&file, capture_of(&referral())).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("1 would not reach the Linux client, 0 enforcing would reject"), "{output}");
    let line = output.lines().find(|line| line.contains("referrals-version")).unwrap();
    assert!(line.split_whitespace().any(|word| word == "linux"), "{output}");

    let (status, output) = run(&scratch.tool(&["verify", "--client", "linux", file.as_str()]));
    assert_eq!(status, 1, "{output}");
    let wanted = "enforcing would reject 1 of 1 reply, if the Linux client asked for it";
    assert!(output.contains(wanted), "{output}");

    let json = scratch.tool(&["--json", "verify", file.as_str()]).finish(&Report::silent()).unwrap().text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let reply = &json["replies"][0];
    assert_eq!((&reply["verdict"], &reply["holds_for"]), (&"linux".into(), &"linux".into()), "{json}");
    assert_eq!(reply["would_reach_linux"], false, "{json}");
}

/// The bytes, as these programs pack them; each is on every machine that can build this.
fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let xz = {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    vec![("gz", gzip), ("xz", xz), ("zst", zstd::encode_all(bytes, 3).unwrap())]
}

#[test]
fn compressed_captures_and_standard_input_are_read() {
    let scratch = Scratch::new();
    for (suffix, bytes) in packed(&capture(9)) {
        // By what is in it, not by its name.
        for name in [format!("smb.pcap.{suffix}"), "plain.pcap".to_owned()] {
            let file = scratch.path().join(name);
            fs_err::write(&file, &bytes).unwrap();
            let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
            assert_eq!(status, 1, "{output}");
            assert!(output.contains("tree-connect-share-type"), "{output}");
        }
        let (status, output) = run(&scratch.tool(&["verify", "-"]).input(bytes));
        assert_eq!(status, 1, "{output}");
        assert!(output.contains("standard input") && output.contains("tree-connect-share-type"), "{output}");
    }
    let twice = scratch.tool(&["verify", "-", "-"]);
    assert_refused(&twice, 2, "standard input", "more than once", "once");
}

#[test]
fn nouns_agree_with_their_numbers() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    let mut signed = tree_connect(1);
    signed[16] |= 8;
    fs_err::write(&file, capture_of(&signed)).unwrap();
    let (_, output) = run(&scratch.tool(&["verify", file.as_str()]));
    for wanted in ["1 judged reply is signed", ": 1 packet in ", "1 reply judged:"] {
        assert!(output.contains(wanted), "no {wanted:?}: {output}");
    }
}

#[test]
fn nothing_but_compressed_messages_is_something() {
    // Unchained, LZ77, nothing of it uncompressed (MS-SMB2 2.2.42.1).
    let message = [&b"\xfcSMB"[..], &[80, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], &[7; 40]].concat();
    let scratch = Scratch::new();
    let file = scratch.path().join("late.pcap");
    fs_err::write(&file, capture_of(&message)).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("1 message is compressed, and not judged"), "{output}");
}

#[test]
fn what_is_no_capture_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.path().join("notes.txt");
    fs_err::write(&file, "no capture at all, but long enough to be taken for one\n").unwrap();
    let verify = |file: &str| scratch.tool(&["verify", file]);
    assert_refused(&verify(file.as_str()), 4, "notes.txt", "neither as pcap nor as pcapng", "tcpdump");
    fs_err::write(&file, "").unwrap();
    assert_refused(&verify(file.as_str()), 4, "notes.txt", "neither as pcap nor as pcapng", "tcpdump");
    let dir = scratch.path().as_str();
    assert_refused(&verify(dir), 4, dir, "it is a directory", "*.pcap");
    assert_refused(&verify("/nowhere.pcap"), 3, "/nowhere.pcap", "No such file", "tcpdump");
    assert_eq!(run(&scratch.tool(&["verify"])).0, 2);
}

#[test]
fn nothing_to_judge_is_no_success() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    fs_err::write(&file, capture(1)).unwrap();
    let tool = scratch.tool(&["verify", "--port", "446", file.as_str()]);
    assert_refused(&tool, 4, "smb.pcap", "no reply of SMB2 from TCP port 446 in 1 packet", "--port");
    let mut unknown = capture(1);
    unknown[20] = 147;
    fs_err::write(&file, unknown).unwrap();
    let tool = scratch.tool(&["verify", file.as_str()]);
    assert_refused(&tool, 4, "smb.pcap", "1 packet is of a link type that is not known here", "tcpdump");
}
