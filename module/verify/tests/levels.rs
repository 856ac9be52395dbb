// SPDX-License-Identifier: GPL-2.0
//! Whatever arrives, of every kind and at both levels: the verifier neither panics nor hangs, and
//! what is refused at the lesser level is refused at the strict one, for the same reason or an
//! earlier one, and never for a rule of the strict level.

mod bytes;
mod replies;

use bytes::{
    challenge, descriptor, entry, error_context, interface, link, negotiate, negotiate_context, nfs_point,
    posix_entry, read, referrals, session_setup, sid, stopped, symlink_point, wsl_attributes, Bytes,
};
use replies::{lease_v1, lease_v2, on_disk_id, posix, reply, Random};
use verify::asked::Ciphers;
use verify::compound::{Carrier, Messages};
use verify::directory::Class;
use verify::security::Use;
use verify::{verify, Asked, Client, Content, Level, Outcome, Request};

/// One message of every kind that there are rules for.
fn samples() -> Vec<Vec<u8>> {
    let output = |bytes: &[u8]| Bytes::output(0x10, bytes);
    let entries = [entry(80, "a name\0\0"), entry(0, "another")].concat();
    let posix_entries = [posix_entry(136, "abcdef"), posix_entry(0, "b")].concat();
    let context = error_context(0, &link(b"to").0);
    let other = [error_context(7, &[0; 40]), context.clone()].concat();
    let posix_info = Bytes::new().zeros(80).text(&sid(&[1, 2])).text(&sid(&[3]));
    let contexts = [negotiate_context(2, &[1, 0, 2, 0]), negotiate_context(1, &[1; 38])].concat();
    let messages = [
        Bytes(reply(&[lease_v1(), lease_v2(), on_disk_id(), posix()])),
        negotiate(2, &contexts),
        session_setup(&challenge(b"target").0),
        read(b"data"),
        stopped(0, &link(b"to").0),
        stopped(1, &context),
        stopped(2, &other),
        output(&wsl_attributes()),
        output(&posix_info.0),
        output(&descriptor().0),
        Bytes::output(0x0e, &entries),
        Bytes::output(0x0e, &posix_entries),
        Bytes::output(0x0f, &[0; 20]),
        Bytes::ioctl(0x0014_01fc, &[interface(152), interface(0)].concat()),
        Bytes::ioctl(0x0006_0194, &referrals().0),
        Bytes::ioctl(0x0009_00a8, &symlink_point("target").0),
        Bytes::ioctl(0x0009_00a8, &nfs_point(0x014b_4e4c, b"t\0o\0").0),
        Bytes::ioctl(0x0009_40cf, &[0; 32]),
        Bytes::ioctl(0x0014_0078, &[0; 28]),
    ];
    messages.into_iter().map(|message| message.0).collect()
}

/// Everything that an output can be read as.
const CONTENTS: [Content<'_>; 17] = [
    Content::AtLeast(24),
    Content::Attributes(None),
    Content::Attributes(Some(b"$LXGID")),
    Content::WslAttributes,
    Content::Posix,
    Content::Security(Use::Mapped),
    Content::Security(Use::Rewritten),
    Content::Directory(Class::Directory),
    Content::Directory(Class::Full),
    Content::Directory(Class::IdFull),
    Content::Directory(Class::Posix),
    Content::Interfaces,
    Content::Referrals(4),
    Content::Reparse,
    Content::ResumeKey,
    Content::Ranges(true),
    Content::Symlink,
];

/// Spoils up to four bytes, or fields of 2 or 4, and now and then cuts the end off.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(5) {
        let value = random.awkward(u32::try_from(bytes.len()).unwrap()).to_le_bytes();
        let width = [1, 2, 4][random.below(3)];
        let at = random.below(bytes.len() - width);
        bytes[at..at + width].copy_from_slice(&value[..width]);
    }
    if random.below(6) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
}

/// Of every kind of request one.
fn requests() -> [Request; 9] {
    let most = 1 << 16;
    [
        Request::Unknown,
        Request::Negotiate(Ciphers::none().with(3).with(4)),
        Request::SessionSetup { raw_ntlm: true },
        Request::SessionSetup { raw_ntlm: false },
        Request::Directory { class: 12, most },
        Request::Referrals { level: 4, most },
        Request::Output { most },
        Request::Unasked { notifications: true },
        Request::Other,
    ]
}

/// Verifies `bytes` at both levels, and whether the strict one refuses it.
fn judge_asked(bytes: &[u8], asked: Asked) -> bool {
    let [lesser, strict] = [Level::Enforce, Level::Strict].map(|level| verify(bytes, asked, level));
    let refused = |outcome: Outcome| matches!(outcome, Outcome::Malformed(_));
    if let Outcome::Malformed(broken) = lesser {
        assert_eq!(broken.rule.level(), Level::Enforce, "{asked:?}: {broken:?} for {bytes:02x?}");
    }
    assert!(!refused(lesser) || refused(strict), "{asked:?}: {lesser:?} and {strict:?} for {bytes:02x?}");
    refused(strict)
}

/// Verifies `bytes` in every way, and whether any of them refuses it.
fn judge(bytes: &[u8]) -> bool {
    let mut any = false;
    for asked in requests().map(Asked::by_anybody).into_iter().chain([Asked::guarded()]) {
        any |= judge_asked(bytes, asked);
    }
    let by_kernel = |client| Asked { client, ..Asked::by_kernel() };
    let [kernel, guarded, anybody] = [Client::Kernel, Client::Guarded, Client::Any]
        .map(|client| matches!(verify(bytes, by_kernel(client), Level::Enforce), Outcome::Malformed(_)));
    assert!(kernel || !guarded, "the guard refuses what the client takes: {bytes:02x?}");
    assert!(kernel || !anybody, "nobody's reply is refused that the client takes: {bytes:02x?}");
    for content in CONTENTS {
        let [lesser, strict] = [Level::Enforce, Level::Strict].map(|level| content.verify(bytes, level));
        assert!(lesser.is_ok() || strict.is_err(), "{content:?}: {lesser:?} for {bytes:02x?}");
        let asked = lesser.map_or_else(|broken| broken.rule.level(), |()| Level::Enforce);
        assert_eq!(asked, Level::Enforce, "{content:?}: {lesser:?} for {bytes:02x?}");
        any |= strict.is_err();
    }
    for carrier in [Carrier::Plain, Carrier::Encrypted] {
        let messages = Messages::new(bytes, carrier);
        let received: usize = messages.filter_map(Result::ok).map(<[u8]>::len).sum();
        assert!(received <= bytes.len(), "more than came: {bytes:02x?}");
    }
    any
}

#[test]
fn spoilt_messages_of_every_kind() {
    let mut random = Random(0x00c0_ffee);
    for sample in samples() {
        for _ in 0..10_000 {
            let mut bytes = sample.clone();
            spoil(&mut bytes, &mut random);
            judge(&bytes);
        }
    }
}

#[test]
fn every_prefix_of_every_kind() {
    for sample in samples() {
        for len in 0..sample.len() {
            judge(&sample[..len]);
        }
    }
}

#[test]
fn the_longest_lists_end() {
    // Steps as short as each list allows, to the end of the largest message.
    let repeated = |one: &[u8]| one.repeat(128 * 1024 / one.len());
    for one in [&[1u8][..], &[4, 0, 0, 0], &[8, 0, 0, 0, 0, 1, 0, 0], &[0; 8], &[0xff; 8]] {
        for command in [0x0e, 0x10] {
            judge(&Bytes::output(command, &repeated(one)).0);
        }
        judge(&Bytes::ioctl(0x0014_01fc, &repeated(one)[..0xff00]).0);
        judge(&stopped(255, &repeated(one)).0);
        judge(&negotiate(u16::MAX, &repeated(one)).0);
    }
}
