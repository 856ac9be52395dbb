// SPDX-License-Identifier: GPL-2.0
//! The frames of the proxy that the tests with machines use (`tests/vm/frames.rs`): each reply that
//! it spoils breaks the rule that was asked for, and nothing else is touched.

#[path = "../vm/frames.rs"]
mod proxy;
#[path = "../../module/verify/tests/replies/mod.rs"]
mod replies;

use proxy::{Conversation, LeftOpen, Place, Spoil};
use replies::{lease_v2, on_disk_id, put16, put32, reply};
use verify::{Asked, Level, Outcome, verify};

/// A CREATE request for `path`.
fn request(path: &str, id: u8) -> Vec<u8> {
    let name: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = vec![0; 120];
    bytes[..4].copy_from_slice(b"\xfeSMB");
    bytes[4] = 64;
    bytes[12] = 5;
    bytes[24] = id;
    put16(&mut bytes, 108, 120);
    put16(&mut bytes, 110, u16::try_from(name.len()).unwrap());
    bytes.extend(name);
    bytes
}

/// A successful CREATE reply with two contexts.
fn answer(id: u8) -> Vec<u8> {
    let mut bytes = reply(&[lease_v2(), on_disk_id()]);
    bytes[24] = id;
    bytes
}

/// Two messages as one compound, the first padded to 8 bytes.
fn compound(mut first: Vec<u8>, second: &[u8]) -> Vec<u8> {
    first.resize(first.len().next_multiple_of(8), 0);
    let next = u32::try_from(first.len()).unwrap();
    put32(&mut first, 20, next);
    first.extend(second);
    first
}

/// A message of another command.
fn close(id: u8) -> Vec<u8> {
    let mut bytes = request("", id);
    bytes[12] = 6;
    bytes
}

/// What the verifier says of the first message of a frame.
fn broken_rule(frame: &[u8]) -> Option<verify::Rule> {
    let next = u32::from_le_bytes(frame[20..24].try_into().unwrap()) as usize;
    let message = if next == 0 { frame } else { &frame[..next] };
    match verify(message, Asked::guarded(), Level::Enforce) {
        Outcome::Malformed(found) => Some(found.rule),
        _ => None,
    }
}

#[test]
fn every_reply_is_spoilt_as_its_file_says() {
    for spoil in Spoil::all() {
        let mut conversation = Conversation::default();
        let path = format!("directory\\{}", spoil.file());
        let (asked, mut answered) = match spoil.place {
            Place::Open => (request(&path, 7), answer(7)),
            Place::Lookup => (compound(request(&path, 7), &close(8)), compound(answer(7), &close(8))),
        };
        conversation.request(&asked);
        let length = answered.len();
        assert_eq!(conversation.reply(&mut answered), [spoil]);
        assert_eq!(broken_rule(&answered), Some(spoil.rule), "{}", spoil.file());
        assert_eq!(answered.len() == length, spoil.rule != verify::Rule::ReplyShort);
    }
}

#[test]
fn a_single_context_can_be_spoilt_as_well() {
    for spoil in Spoil::all().filter(|spoil| spoil.place == Place::Open) {
        let mut conversation = Conversation::default();
        conversation.request(&request(&spoil.file(), 0));
        let mut answered = reply(&[on_disk_id()]);
        assert_eq!(conversation.reply(&mut answered), [spoil]);
        assert_eq!(broken_rule(&answered), Some(spoil.rule), "{}", spoil.file());
    }
}

#[test]
fn everything_else_passes_unchanged() {
    let mut failed = answer(7);
    failed[11] = 0xc0;
    let open = "create-next-outside.open";
    let lookup = "create-contexts-outside.lookup";
    for (what, asked, answered) in [
        ("another file", request("plain", 7), answer(7)),
        ("another message", request(open, 6), answer(7)),
        ("the other place", request(lookup, 7), answer(7)),
        ("the other place, in a compound", compound(request(open, 7), &close(8)), answer(7)),
        (
            "a place where the client reads nothing",
            compound(request("create-trailing.lookup", 7), &close(8)),
            answer(7),
        ),
        ("an error", request(open, 7), failed),
        ("no contexts", request(open, 7), reply(&[])),
        ("another protocol", request(open, 7), b"\xfdSMBencrypted".to_vec()),
        ("nothing", vec![], vec![]),
    ] {
        let mut conversation = Conversation::default();
        conversation.request(&asked);
        let mut passed = answered.clone();
        assert_eq!(conversation.reply(&mut passed), [], "{what}");
        assert_eq!(passed, answered, "{what}");
    }
}

#[test]
fn an_interim_reply_is_waited_through() {
    let mut conversation = Conversation::default();
    conversation.request(&request("create-trailing.open", 7));
    let mut interim = answer(7);
    put32(&mut interim, 8, 0x103);
    assert_eq!(conversation.reply(&mut interim), []);
    assert_eq!(conversation.reply(&mut answer(7)).len(), 1);
    assert_eq!(conversation.reply(&mut answer(7)), [], "a message is answered once");
}

#[test]
fn a_file_is_spoilt_once() {
    let mut conversation = Conversation::default();
    for (id, expected) in [(7, 1), (8, 0)] {
        conversation.request(&request("create-trailing.open", id));
        assert_eq!(conversation.reply(&mut answer(id)).len(), expected);
    }
}

#[test]
fn a_handle_is_left_open_until_it_is_closed() {
    let left_open = LeftOpen::default();
    let held = || left_open.lock().unwrap().len();
    let mut conversation = Conversation::telling(&left_open);
    conversation.request(&request("create-trailing.open", 7));
    let mut opened = answer(7);
    opened[128..144].copy_from_slice(b"a handle of sixt");
    conversation.reply(&mut opened);
    assert_eq!(held(), 1);
    let mut closing = close(8);
    conversation.request(&closing);
    assert_eq!(held(), 1, "another was closed");
    closing[72..88].copy_from_slice(b"a handle of sixt");
    conversation.request(&closing);
    assert_eq!(held(), 0);
}
