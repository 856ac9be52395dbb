// SPDX-License-Identifier: GPL-2.0
//! Captures made by hand, each with what a real one may have, and the verdicts on them.

#[path = "../../module/verify/tests/bytes/mod.rs"]
mod bytes;
mod connection;

use std::io::{Read, Write as _};

use bytes::{Bytes, challenge, negotiate, read, session_setup, tree_connect};
use capture::file::{End, Unreadable, packets};
use capture::{Counts, Found, Link, ReplyVerdict, Survey, Tally, Totals};
use connection::opened;

fn survey(packets: &[Vec<u8>]) -> (Counts, Totals, Vec<Found>) {
    let mut survey = Survey::new(445, false);
    for (number, packet) in (1..).zip(packets) {
        survey.packet(0, number, Link::Ip, packet);
    }
    let (tally, totals, found) = survey.finish();
    (sum(&tally), totals, found)
}

fn sum(tally: &Tally) -> Counts {
    tally.values().fold(Counts::default(), |sum, one| Counts {
        replies: sum.replies + one.replies,
        sound: sum.sound + one.sound,
        strict: sum.strict + one.strict,
        linux: sum.linux + one.linux,
        rejected: sum.rejected + one.rejected,
    })
}

/// A reply with this `MessageId`.
fn with_id(reply: Bytes, id: u32) -> Vec<u8> {
    reply.with32(24, id).0
}

/// A SESSION_SETUP request with this security blob.
fn request(id: u32, blob: &[u8]) -> Vec<u8> {
    let header = Bytes::reply(1, 0).with32(16, 0).with32(24, id);
    let fixed = header.le16(25).zeros(10).le16(88).le16(u16::try_from(blob.len()).unwrap()).zeros(8);
    fixed.text(blob).0
}

/// The names of the rules broken, and how gravely.
fn broken(found: &[Found]) -> Vec<(&'static str, &'static str)> {
    let word = |found: &Found| match found.reply.verdict {
        ReplyVerdict::Sound => ("sound", ""),
        ReplyVerdict::Strict(broken) => ("strict", broken.rule.name()),
        ReplyVerdict::Linux(broken) => ("linux", broken.rule.name()),
        ReplyVerdict::Rejected(broken) => ("rejected", broken.rule.name()),
    };
    found.iter().map(word).collect()
}

#[test]
fn every_reply_gets_a_verdict() {
    let (_, mut server, mut packets) = opened();
    packets.push(server.send(&negotiate(0, &[]).0));
    packets.push(server.send(&tree_connect(1).0));
    packets.push(server.send(&read(b"data").with(66, &[0]).0));
    packets.push(server.send(&read(b"data").with32(68, 5).with32(24, 77).0));
    let (counts, totals, found) = survey(&packets);
    assert_eq!(counts, Counts { replies: 4, sound: 2, strict: 1, linux: 0, rejected: 1 });
    assert_eq!(broken(&found), [("strict", "reply-data-ignored"), ("rejected", "reply-data-outside")]);
    assert_eq!((found[1].packet, found[1].reply.message_id), (6, 77));
    assert_eq!(found[1].reply.dialect.map(|dialect| dialect.to_string()).as_deref(), Some("3.1.1"));
    assert_eq!((totals.packets, totals.connections), (6, 1));
}

#[test]
fn replies_of_a_compound_are_judged_one_by_one() {
    let (_, mut server, mut packets) = opened();
    let first = tree_connect(1).with32(20, 80).0;
    packets.push(server.send(&[first.clone(), tree_connect(9).0].concat()));
    packets.push(server.send(&[Bytes(first.clone()).with32(20, 8).0, first].concat()));
    let (counts, _, found) = survey(&packets);
    assert_eq!(
        broken(&found),
        [("rejected", "tree-connect-share-type"), ("rejected", "compound-next-in-header")]
    );
    assert_eq!(counts.replies, 3);
}

#[test]
fn what_cannot_be_judged_is_counted() {
    let (_, mut server, mut packets) = opened();
    for start in [b"\xfdSMB", b"\xfcSMB", b"\xffSMB"] {
        packets.push(server.send(&[&start[..], &[0; 60]].concat()));
    }
    packets.push(server.send(&tree_connect(1).with32(16, 9).0));
    packets.push(server.raw(b"HTTP/1.1 200 OK"));
    let (counts, totals, _) = survey(&packets);
    assert_eq!(counts.replies, 1);
    assert_eq!((totals.encrypted, totals.compressed, totals.smb1, totals.foreign), (1, 1, 1, 1));
    assert_eq!(totals.signed, 1);
}

#[test]
fn a_challenge_is_judged_when_the_client_asked_in_raw_ntlm() {
    let answer = |id| with_id(session_setup(&challenge(b"").with(0, b"M").0), id);
    let (mut client, mut server, mut packets) = opened();
    packets.push(client.send(&request(1, b"NTLMSSP\0\x01\0\0\0")));
    packets.push(server.send(&answer(1)));
    packets.push(client.send(&request(2, b"\x60\x48\x06\x06")));
    packets.push(server.send(&answer(2)));
    packets.push(server.send(&answer(3)));
    let (counts, totals, found) = survey(&packets);
    assert_eq!(broken(&found), [("rejected", "challenge-signature")]);
    assert_eq!((counts.replies, found[0].packet, totals.blobs_unjudged), (3, 4, 2));
}

#[test]
fn ports_used_again_are_another_connection() {
    let mut all = Vec::new();
    for dialect in [0x210, 0x311] {
        let (_, mut server, mut packets) = opened();
        server.next = server.next.wrapping_add(dialect);
        packets[1] = server.packet(server.next.wrapping_sub(1), true, &[]);
        packets.push(server.send(&negotiate(0, &[]).with16(68, dialect as u16).0));
        packets.push(server.send(&tree_connect(9).0));
        // Its last segments come after one that was lost.
        server.next = server.next.wrapping_add(500);
        packets.push(server.send(&tree_connect(9).0));
        all.extend(packets);
    }
    let (counts, totals, found) = survey(&all);
    let dialects: Vec<_> = found.iter().filter_map(|one| one.reply.dialect).map(|d| d.to_string()).collect();
    assert_eq!(dialects, ["2.1", "2.1", "3.1.1", "3.1.1"]);
    assert_eq!((counts.rejected, totals.connections, totals.missing_bytes), (4, 2, 1000));
}

#[test]
fn other_ports_are_passed_over_and_fragments_counted() {
    let (_, mut server, mut packets) = opened();
    server.from.1 = 446;
    packets.push(server.send(&tree_connect(9).0));
    server.from.1 = 445;
    let mut fragment = server.send(&tree_connect(9).0);
    fragment[6] = 0x20; // More fragments follow.
    packets.push(fragment);
    let (counts, totals, _) = survey(&packets);
    assert_eq!((counts.replies, totals.fragments), (0, 1));
}

/// A capture in pcap, in this byte order.
fn pcap(number: fn(u32) -> [u8; 4], link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let head = [0xa1b2_c3d4, 0, 0, 0, 65_535, link].map(number);
    let mut file = head.concat();
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap();
        file.extend([0, 0, length, length].map(number).concat());
        file.extend(packet);
    }
    file
}

/// A block of pcapng.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = u32::try_from(padded + 12).unwrap().to_le_bytes();
    let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

/// A capture in pcapng: a section of one interface, then each packet in a block of its own.
fn pcapng(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &Bytes::new().le32(0x1a2b_3c4d).le16(1).le16(0).le64(u64::MAX).0);
    file.extend(block(1, &Bytes::new().le16(link).le16(0).le32(0).0));
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap();
        let body = Bytes::new().le32(0).le64(0).le32(length).le32(length).text(packet);
        file.extend(block(6, &body.0));
    }
    file
}

/// How many replies are found in a capture, and how it ended.
fn replies(file: &[u8]) -> (u64, Result<End, Unreadable>) {
    let mut survey = Survey::new(445, false);
    let end = packets(file, |number, link, bytes| survey.packet(0, number, link, bytes));
    (sum(&survey.finish().0).replies, end)
}

#[test]
fn captures_of_every_kind_are_read() {
    let (_, mut server, mut ip) = opened();
    ip.extend((0..3).map(|_| server.send(&tree_connect(1).0)));
    let after = |header: &[u8]| ip.iter().map(|packet| [header, packet].concat()).collect::<Vec<_>>();
    let ethernet = after(b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0");
    let tagged = after(b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x81\0\0\x07\x08\0");
    let cooked = after(&[&[0; 14][..], b"\x08\0"].concat());
    let cooked_2 = after(&[&b"\x08\0"[..], &[0; 18]].concat());
    let loopback = after(&[2, 0, 0, 0]);
    let links = [(1, &ethernet), (1, &tagged), (113, &cooked), (276, &cooked_2), (0, &loopback), (101, &ip)];
    for (link, packets) in links {
        for file in [
            pcap(u32::to_le_bytes, link, packets),
            pcap(u32::to_be_bytes, link, packets),
            pcapng(u16::try_from(link).unwrap(), packets),
        ] {
            assert_eq!(replies(&file), (3, Ok(End::Whole)), "link type {link}");
        }
    }
    assert_eq!(replies(&pcap(u32::to_le_bytes, 147, &ip)), (0, Ok(End::Whole)));
}

#[test]
fn a_file_that_is_cut_or_broken_gives_what_it_has() {
    let (_, mut server, mut ip) = opened();
    ip.extend((0..3).map(|_| server.send(&tree_connect(1).0)));
    for whole in [pcap(u32::to_le_bytes, 101, &ip), pcapng(101, &ip)] {
        assert_eq!(replies(&whole[..whole.len() - 9]), (2, Ok(End::Cut)));
        for length in 0..whole.len() {
            replies(&whole[..length]).1.ok();
        }
    }
    assert_eq!(replies(b"").1, Err(Unreadable::NoCapture));
    assert_eq!(replies(b"#!/bin/sh\necho no capture\n").1, Err(Unreadable::NoCapture));
    let long = vec![vec![0x45; 1 << 20]];
    assert_eq!(replies(&pcap(u32::to_le_bytes, 101, &long)), (0, Ok(End::Whole)), "long, but no matter");
    let mut huge = pcap(u32::to_le_bytes, 101, &ip);
    huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(replies(&huge), (0, Err(Unreadable::Broken { after: 0 })));
}

/// Gives a byte at a time, as a slow pipe.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn a_capture_from_a_slow_pipe_is_read() {
    let (_, mut server, mut ip) = opened();
    ip.push(server.send(&tree_connect(1).0));
    for file in [pcap(u32::to_le_bytes, 101, &ip), pcapng(101, &ip)] {
        let mut seen = 0;
        let end = packets(Slow(&file), |number, _, _| seen = number);
        assert_eq!((seen, end), (3, Ok(End::Whole)));
    }
}

/// The file as each of the three programs packs it.
fn packed(file: &[u8]) -> [Vec<u8>; 3] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(file).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 3);
    xz.write_all(file).unwrap();
    // With a checksum, as the program has it.
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(file).unwrap();
    [gzip.finish().unwrap(), xz.finish().unwrap(), zstd.finish().unwrap()]
}

/// Bytes that no program makes shorter, others for each `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn compressed_captures_are_unpacked_as_they_are_read() {
    let (_, mut server, mut ip) = opened();
    ip.extend((0..100).map(|nth| server.send(&read(&noise(nth, 9000)).0)));
    for file in [pcap(u32::to_le_bytes, 101, &ip), pcapng(101, &ip)] {
        for mut packed in packed(&file) {
            assert_eq!(replies(&packed), (100, Ok(End::Whole)));
            let mut seen = 0;
            assert_eq!(packets(Slow(&packed), |number, _, _| seen = number), Ok(End::Whole));
            assert_eq!(seen, 102, "from a slow pipe");
            // One after another, as they are appended.
            let twice = [&packed[..], &packed[..]].concat();
            assert_eq!(packets(&twice[..], |_, _, _| {}).is_ok(), file.starts_with(b"\n"), "two captures");
            // A capture that is still written, or whose end was lost.
            let (some, end) = replies(&packed[..packed.len() / 2]);
            assert!((10..90).contains(&some), "{some}");
            assert_eq!(end, Ok(End::Cut));
            // One that was damaged on its way.
            let middle = packed.len() / 2;
            packed[middle..middle + 64].fill(0x55);
            let (some, end) = replies(&packed);
            assert!(some <= 100 && end.is_err(), "{some} {end:?}");
        }
    }
    for packed in packed(b"#!/bin/sh\necho no capture\n") {
        assert_eq!(replies(&packed).1, Err(Unreadable::NoCapture));
    }
}

#[test]
fn a_bomb_is_left() {
    let dull = vec![vec![0; 1 << 16]; 1100];
    for packed in packed(&pcap(u32::to_le_bytes, 101, &dull)) {
        let mut seen = 0u64;
        let end = packets(&packed[..], |number, _, _| seen = number);
        // gzip makes no more than a thousandth of anything.
        if packed.starts_with(b"\x1f\x8b") {
            assert_eq!((seen, end), (1100, Ok(End::Whole)));
            continue;
        }
        let Err(Unreadable::Failed { after, reason }) = end else { panic!("{end:?}") };
        assert!(reason.contains("5000 times its size"), "{reason}");
        assert!(after == seen && (1000..1100).contains(&after), "no more than 64 MiB: {after}");
    }
}

#[test]
fn what_is_compressed_is_counted_from_the_middle_on() {
    let alone = Bytes::new().text(b"\xfcSMB").le32(80).le16(2).le16(0).le32(0).zeros(40);
    let chained = Bytes::new().text(b"\xfcSMB").le32(80).le16(4).le16(1).le32(8).zeros(8);
    let smb1 = Bytes::new().text(b"\xffSMB").byte(0x72).zeros(4).byte(0x88).zeros(25);
    for (what, message, found) in [
        ("compressed", &alone, (1, 0)),
        ("compressed in a chain", &chained, (1, 0)),
        ("of SMB1", &smb1, (0, 1)),
        ("of SMB1, and a request", &smb1.clone().with(9, &[0x08]), (0, 0)),
        ("compressed by nothing", &alone.clone().with16(8, 0), (0, 0)),
        ("compressed from behind its end", &alone.clone().with32(12, 41), (0, 0)),
        ("compressed from nothing", &alone.clone().with32(4, 0), (0, 0)),
    ] {
        let (_, mut server, _) = opened();
        let (counts, totals, _) = survey(&[server.send(&message.0)]);
        assert_eq!((totals.compressed, totals.smb1), found, "{what}");
        assert_eq!((counts.replies, totals.encrypted), (0, 0), "{what}");
    }
}

#[test]
fn a_cancelled_request_is_still_the_one_that_is_answered() {
    // CANCEL has the id of what it cancels (MS-SMB2 3.2.4.24).
    let cancel = Bytes::reply(12, 0).with32(16, 0).with32(24, 1).le16(4).le16(0).0;
    let answer = with_id(session_setup(&challenge(b"").with(0, b"M").0), 1);
    let (mut client, mut server, mut packets) = opened();
    packets.push(client.send(&request(1, b"NTLMSSP\0\x01\0\0\0")));
    packets.push(client.send(&cancel));
    packets.push(server.send(&answer));
    assert_eq!(broken(&survey(&packets).2), [("rejected", "challenge-signature")]);
}
