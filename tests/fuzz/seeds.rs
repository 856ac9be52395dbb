// SPDX-License-Identifier: GPL-2.0
//! What fuzzing begins with: the messages and modules that the tests are made of, and the
//! `dkms.conf` of this repository.

#[path = "../../module/verify/tests/bytes/mod.rs"]
mod bytes;
#[path = "../host/elf.rs"]
mod elf;
#[expect(dead_code, reason = "what is said of each is for other suites")]
#[path = "../packings.rs"]
mod packings;
#[path = "../../module/verify/tests/replies/mod.rs"]
mod replies;
#[expect(unreachable_pub, reason = "it is of a library")]
#[path = "../../fuzz/src/segment.rs"]
mod segment;

use anyhow::Result;
use camino::Utf8Path;

use bytes::{Bytes, attribute, negotiate_context as context};
use segment::segment;

/// Targets, and well-formed messages for each.
fn seeds() -> Vec<(&'static str, Vec<Bytes>)> {
    let contexts = [context(2, &[1, 0, 2, 0]), context(1, &[1; 38]), context(8, &[1, 0, 1, 0])].concat();
    let link = bytes::link(b"t\0o\0");
    let in_context = bytes::error_context(0, &link.0);
    let create = [replies::lease_v1(), replies::lease_v2(), replies::on_disk_id(), replies::posix()];
    let info = |output: &[u8]| Bytes::output(0x10, output);
    let entries = |one: fn(u32, &str) -> Vec<u8>, next| {
        Bytes::output(0x0e, &[one(next, "abcdefgh"), one(0, "b")].concat())
    };
    let posix = Bytes::new().zeros(80).text(&bytes::sid(&[1, 2])).text(&bytes::sid(&[3])).0;
    let two = [attribute(16, "one", b"1234"), attribute(0, "two", b"")].concat();
    let interfaces = [bytes::interface(152), bytes::interface(0)].concat();
    vec![
        ("negotiate", vec![bytes::negotiate(3, &contexts)]),
        ("session_setup", vec![bytes::session_setup(&bytes::challenge(b"target").0)]),
        ("tree_connect", vec![Bytes::reply(3, 0).le16(16).byte(1).zeros(13)]),
        ("create", vec![Bytes(replies::reply(&create)), Bytes(replies::reply(&[]))]),
        ("error", vec![bytes::stopped(0, &link.0), bytes::stopped(1, &in_context)]),
        ("read", vec![bytes::read(b"data")]),
        (
            "ioctl",
            vec![
                Bytes::ioctl(0x0014_01fc, &interfaces),
                Bytes::ioctl(0x0006_0194, &bytes::referrals().0),
                Bytes::ioctl(0x0009_00a8, &bytes::symlink_point("target").0),
                Bytes::ioctl(0x0009_00a8, &bytes::nfs_point(0x014b_4e4c, b"t\0o\0").0),
                Bytes::ioctl(0x0009_00a8, &bytes::reparse(0xa000_001d, b"\x02\0\0\0to").0),
            ],
        ),
        ("query_directory", vec![entries(bytes::entry, 80), entries(bytes::posix_entry, 140)]),
        ("change_notify", vec![Bytes::output(0x0f, &[0; 20])]),
        (
            "query_info",
            vec![info(&two), info(&bytes::wsl_attributes()), info(&posix), info(&bytes::descriptor().0)],
        ),
        (
            "oplock_break",
            vec![Bytes::reply(0x12, 0).le16(24).zeros(22), Bytes::reply(0x12, 0).le16(44).zeros(42)],
        ),
    ]
}

/// A message with its transport header.
fn carried(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap_or(0).to_be_bytes(), message].concat()
}

/// A capture in pcap: a connection is opened, and the server sends the message.
fn pcap(message: &[u8]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4, 0, 0, 0, 65_535, 101].map(u32::to_le_bytes).concat();
    for packet in [segment(2, 0, &[]), segment(3, 0, &[]), segment(1, 1, &carried(message))] {
        let length = u32::try_from(packet.len()).unwrap_or(0);
        file.extend([0, 0, length, length].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}

/// The same as the target `segments` takes it, the message in segments of 50 bytes.
fn segments(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 3, 0, 0];
    let mut place = 1u8;
    for part in carried(message).chunks(50) {
        bytes.extend([1, place, part.len() as u8]);
        bytes.extend_from_slice(part);
        place = place.wrapping_add(part.len() as u8);
    }
    bytes
}

/// Modules of every form, signed and not.
fn modules() -> Vec<Vec<u8>> {
    let forms = [elf::Exports::Tables, elf::Exports::Flags];
    let plain = forms.map(|form| elf::module(object::Architecture::X86_64, form));
    let signed = plain.iter().map(|module| elf::signed(module, "Made", &[1, 2, 3])).collect();
    let packed = packings::all(&plain[0]).into_iter().map(|packing| packing.bytes).collect();
    [plain.to_vec(), signed, packed].concat()
}

/// Every `dkms.conf` here.
const CONFS: [&str; 3] = [
    include_str!("../../dkms.conf"),
    include_str!("../../cifs/dkms.conf"),
    include_str!("../../tests/vm/fault/dkms.conf"),
];

/// Writes them as `TARGET/NUMBER` in a directory.
pub(crate) fn write(corpus: &Utf8Path) -> Result<()> {
    let write = |target: &str, number: usize, bytes: &[u8]| {
        fs_err::create_dir_all(corpus.join(target))?;
        fs_err::write(corpus.join(target).join(number.to_string()), bytes)
    };
    let mut messages = 0;
    for (target, seeds) in seeds() {
        for (number, seed) in seeds.iter().enumerate() {
            // A target puts the header before its bytes by itself.
            write(target, number, &seed.0[64..])?;
            write("message", messages, &seed.0)?;
            let next = u32::try_from(seed.0.len().next_multiple_of(8)).unwrap_or(0);
            let mut first = seed.0.clone();
            first.resize(next as usize, 0);
            first[20..24].copy_from_slice(&next.to_le_bytes());
            let compound = [&first, &seed.0[..]].concat();
            write("compound", messages, &compound)?;
            write("capture", messages, &pcap(&compound))?;
            write("segments", messages, &segments(&compound))?;
            messages += 1;
        }
    }
    for (number, module) in modules().iter().enumerate() {
        write("kernel_module", number, module)?;
        write("signature", number, &elf::message("Made", &[number as u8, 1]))?;
    }
    for (number, conf) in CONFS.iter().enumerate() {
        write("dkms_conf", number, conf.as_bytes())?;
    }
    Ok(())
}
