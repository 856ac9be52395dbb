// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask verify` as a user meets it: what is no capture, what holds nothing to judge, and a
//! reply that enforcing would reject. What captures hold is tested in `capture/`, and over a real
//! client's in `tests/vm/capture.rs`.

use crate::tool::{Scratch, assert_refused, run};

/// A TREE_CONNECT reply for a share of this type, from port 445 to an open connection, in pcap of
/// raw IP.
fn capture(share_type: u8) -> Vec<u8> {
    let mut message = vec![0; 80];
    message[..4].copy_from_slice(b"\xfeSMB");
    (message[4], message[12], message[16], message[64], message[66]) = (64, 3, 1, 16, share_type);
    let transport = [0, 0, 0, 80];
    let ports = [1, 189, 200, 1];
    let tcp = [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]].concat();
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    ip[3] = u8::try_from(20 + tcp.len() + 84).unwrap();
    let packet = [&ip[..], &tcp, &transport, &message].concat();
    let length = u32::try_from(packet.len()).unwrap();
    let head = [0xa1b2_c3d4, 0, 0, 0, 65_535, 101, 0, 0, length, length].map(u32::to_le_bytes).concat();
    [head, packet].concat()
}

#[test]
fn the_status_says_whether_enforcing_would_reject() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    fs_err::write(&file, capture(1)).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("1 replies judged: 1 sound"), "{output}");

    fs_err::write(&file, capture(9)).unwrap();
    let (status, output) = run(&scratch.tool(&["verify", file.as_str()]));
    assert_eq!(status, 1, "{output}");
    let line = output.lines().find(|line| line.contains("tree-connect-share-type")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    let expected = ["1", "10.0.0.2:445", "10.0.0.1:51201", "TREE_CONNECT", "0", "rejected"];
    assert_eq!(words, [&expected[..], &["tree-connect-share-type", "66", "2.2.10"]].concat(), "{output}");
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
    assert_refused(&verify(dir), 4, dir, "reading it failed", "tcpdump");
    assert_refused(&verify("/nowhere.pcap"), 3, "/nowhere.pcap", "No such file", "tcpdump");
    assert_eq!(run(&scratch.tool(&["verify"])).0, 2);
}

#[test]
fn nothing_to_judge_is_no_success() {
    let scratch = Scratch::new();
    let file = scratch.path().join("smb.pcap");
    fs_err::write(&file, capture(1)).unwrap();
    let tool = scratch.tool(&["verify", "--port", "446", file.as_str()]);
    assert_refused(&tool, 4, "smb.pcap", "no reply of SMB2 from TCP port 446 in 1 packets", "--port");
    let mut unknown = capture(1);
    unknown[20] = 147;
    fs_err::write(&file, unknown).unwrap();
    let tool = scratch.tool(&["verify", file.as_str()]);
    assert_refused(&tool, 4, "smb.pcap", "1 are of a link type that is not known here", "tcpdump");
}
