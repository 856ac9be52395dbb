// SPDX-License-Identifier: GPL-2.0
//! CREATE replies that are accepted, and one that is rejected for each rule.

mod replies;

use replies::{lease_v1, lease_v2, on_disk_id, posix, put16, put32, reply, with_list, Context, CONTEXTS};
use verify::{verify, Malformed, Outcome, Rule};

#[test]
fn sound_replies_are_accepted() {
    let no_data = Context { name: b"MxAc", data: vec![] };
    let wrong_size = Context { name: b"RqLs", data: vec![0; 7] };
    let unknown = Context { name: b"unheard-of", data: vec![0; 3] };
    for (what, bytes) in [
        ("no contexts", reply(&[])),
        ("lease v1", reply(&[lease_v1()])),
        ("lease v2", reply(&[lease_v2()])),
        ("on-disk id", reply(&[on_disk_id()])),
        ("POSIX", reply(&[posix()])),
        ("what Samba sends", reply(&[lease_v2(), on_disk_id(), posix()])),
        ("a context without data", reply(&[no_data, on_disk_id()])),
        ("a lease of a wrong size, which the client passes over", reply(&[wrong_size])),
        ("a name nobody knows", reply(&[unknown, lease_v1()])),
    ] {
        assert_eq!(verify(&bytes), Outcome::Sound, "{what}");
    }
}

#[test]
fn peculiar_but_sound() {
    // Data that come before the end of the context, and bytes between name and data.
    let mut bytes = reply(&[lease_v1(), on_disk_id()]);
    put32(&mut bytes, CONTEXTS + 12, 1);
    assert_eq!(verify(&bytes), Outcome::Sound);

    // A name that ends just where the data begin.
    let mut bytes = reply(&[posix()]);
    put16(&mut bytes, CONTEXTS + 10, 32);
    assert_eq!(verify(&bytes), Outcome::Sound);

    // No data: then the name may lie past the data's offset.
    let mut bytes = reply(&[on_disk_id()]);
    put16(&mut bytes, CONTEXTS + 10, 16);
    put32(&mut bytes, CONTEXTS + 12, 0);
    assert_eq!(verify(&bytes), Outcome::Sound);

    // Bytes after the last context's data, and after the contexts.
    let mut bytes = reply(&[on_disk_id()]);
    let list = u32::try_from(bytes.len() - CONTEXTS).unwrap();
    bytes.extend([0xee; 7]);
    assert_eq!(verify(&bytes), Outcome::Sound, "padding after the list");
    put32(&mut bytes, 148, list + 7);
    assert_eq!(verify(&bytes), Outcome::Sound, "padding in the list");

    // An empty list may be said to stand anywhere within the reply, its end included.
    for offset in [0, 1, 152] {
        let mut bytes = reply(&[]);
        put32(&mut bytes, 144, offset);
        assert_eq!(verify(&bytes), Outcome::Sound, "empty list at {offset}");
    }
}

/// A lease and an on-disk id, with one field of the first context spoilt.
fn spoilt(spoil: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = reply(&[lease_v1(), on_disk_id()]);
    assert_eq!(bytes.len(), CONTEXTS + 56 + 56);
    spoil(&mut bytes);
    bytes
}

#[test]
fn every_rule_rejects() {
    use Rule::{
        ContextsOutside, DataInHeader, DataOutside, NameInHeader, NameOutside, NameOverData, NextInHeader,
        NextMisaligned, NextOutside, ShortReply, Trailing,
    };
    const FIRST: usize = CONTEXTS;
    const SECOND: usize = CONTEXTS + 56;
    let cases: Vec<(Rule, usize, Vec<u8>)> = vec![
        (ShortReply, 151, reply(&[])[..151].to_vec()),
        (ShortReply, 64, reply(&[])[..64].to_vec()),
        (ContextsOutside, 144, spoilt(|b| put32(b, 148, 113))),
        (ContextsOutside, 144, spoilt(|b| put32(b, 148, u32::MAX))),
        (ContextsOutside, 144, spoilt(|b| put32(b, 144, 153))),
        (ContextsOutside, 144, spoilt(|b| put32(b, 144, u32::MAX))),
        (NextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, 57))),
        (NextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, 4))),
        (NextMisaligned, FIRST, spoilt(|b| put32(b, FIRST, u32::MAX))),
        (NextOutside, FIRST, spoilt(|b| put32(b, FIRST, 112))),
        (NextOutside, FIRST, spoilt(|b| put32(b, FIRST, 0xffff_fff8))),
        (NextInHeader, FIRST, spoilt(|b| put32(b, FIRST, 8))),
        (DataInHeader, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 15))),
        (DataInHeader, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 0))),
        // Within the list, past the first context: what older kernels let through.
        (DataOutside, FIRST + 10, spoilt(|b| put32(b, FIRST + 12, 33))),
        (DataOutside, FIRST + 10, spoilt(|b| put16(b, FIRST + 10, 64))),
        (DataOutside, FIRST + 10, spoilt(|b| put32(b, FIRST + 12, u32::MAX))),
        (NameInHeader, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 15))),
        (NameInHeader, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 0))),
        (NameOutside, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 53))),
        (NameOutside, FIRST + 4, spoilt(|b| put16(b, FIRST + 6, u16::MAX))),
        (NameOverData, FIRST + 4, spoilt(|b| put16(b, FIRST + 4, 21))),
        (NameOverData, FIRST + 4, spoilt(|b| put16(b, FIRST + 6, 16))),
        // The second context is held to the same rules, by what remains of the list.
        (DataOutside, SECOND + 10, spoilt(|b| put32(b, SECOND + 12, 33))),
        (NextOutside, SECOND, spoilt(|b| put32(b, SECOND, 56))),
        (Trailing, FIRST, with_list(&[0; 15])),
        (Trailing, SECOND, spoilt(|b| put32(b, 148, 56 + 15))),
    ];
    for (rule, offset, bytes) in &cases {
        let expected = Outcome::Malformed(Malformed { rule: *rule, offset: *offset });
        assert_eq!(verify(bytes), expected, "{}", rule.name());
    }
    for rule in Rule::ALL {
        assert!(cases.iter().any(|(covered, ..)| *covered == rule), "no case for {}", rule.name());
    }
}

#[test]
fn what_the_client_does_not_parse_is_left_alone() {
    let broken = spoilt(|b| put32(b, CONTEXTS, 4));
    assert!(matches!(verify(&broken), Outcome::Malformed(_)));
    let with = |at: usize, value: u8| {
        let mut bytes = broken.clone();
        bytes[at] = value;
        bytes
    };
    for (what, bytes) in [
        ("an error reply", with(11, 0xc0)),
        ("another command", with(12, 6)),
        ("a request", with(16, 0)),
        ("an encrypted message", with(0, 0xfd)),
        ("a header of another size", with(4, 63)),
        ("less than a header", broken[..63].to_vec()),
        ("nothing", vec![]),
    ] {
        assert_eq!(verify(&bytes), Outcome::NotChecked, "{what}");
    }
}

#[test]
fn rules_have_distinct_names_and_know_their_place() {
    for (at, rule) in Rule::ALL.into_iter().enumerate() {
        assert_eq!(rule.index(), at);
        assert!(rule.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.name());
        assert!(rule.section().starts_with("2.2."));
        assert_eq!(Rule::ALL.iter().filter(|other| other.name() == rule.name()).count(), 1);
    }
}
