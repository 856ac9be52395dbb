// SPDX-License-Identifier: GPL-2.0
//! Whatever arrives: the verifier neither panics nor hangs, and it agrees with the rules of the
//! mended client as they are written down once more below, in another way.

mod replies;

use replies::{mutated, Random};
use verify::{create, header, verify, Asked, Cursor, Header, Level, Outcome};

/// Whether the mended client refuses the create contexts of this successful reply.
///
/// Written over plain wide numbers and explicit positions, to share nothing with the verifier.
/// `None`: the client does not get as far as the contexts.
fn client_refuses(reply: &[u8]) -> Option<bool> {
    let number = |at: usize, width: usize| -> i128 {
        (0..width).rev().fold(0, |sum, nth| sum * 256 + i128::from(reply[at + nth]))
    };
    if reply.len() < 64 || reply[..4] != *b"\xfeSMB" || number(4, 2) != 64 {
        return None;
    }
    if number(8, 4) != 0 || number(12, 2) != 5 || reply[16] & 1 == 0 {
        return None;
    }
    if reply.len() < 152 {
        return Some(true);
    }
    let mut at = number(144, 4);
    let end = at + number(148, 4);
    if end > reply.len() as i128 {
        return Some(true);
    }
    while at < end {
        if end - at < 16 {
            return Some(true);
        }
        let field = |off: i128, width| number(usize::try_from(at + off).unwrap(), width);
        let (next, data_length) = (field(0, 4), field(12, 4));
        let context_end = if next == 0 { end } else { at + next };
        let (name, data) = (at + field(4, 2), at + field(10, 2));
        let name_end = name + field(6, 2);
        let next_fits = next == 0 || (next % 8 == 0 && next >= 16 && at + next < end);
        let data_fits = data >= at + 16 && data + data_length <= context_end;
        let name_fits = name >= at + 16 && name_end <= context_end;
        if !next_fits || !data_fits || !name_fits || (data_length > 0 && name_end > data) {
            return Some(true);
        }
        at = context_end;
    }
    Some(false)
}

/// What the verifier says of the create contexts, where the client gets as far as these.
fn refused_here(bytes: &[u8]) -> Option<bool> {
    let message = Cursor::new(bytes);
    let header = Header::read(message).filter(|_| header::is_smb2(message))?;
    let contexts = header.size == 64 && header.reply && header.command == header::CREATE;
    if !contexts || header.status != header::SUCCESS {
        return None;
    }
    let verdict = create::verify(message, Asked::guarded(), Level::Enforce);
    if let Err(malformed) = verdict {
        assert!(malformed.offset <= bytes.len(), "{malformed:?} of {}", bytes.len());
        // The frame may have been refused before.
        assert!(
            matches!(verify(bytes, Asked::guarded(), Level::Enforce), Outcome::Malformed(_)),
            "{malformed:?}"
        );
    }
    Some(verdict.is_err())
}

fn agrees(bytes: &[u8]) {
    assert_eq!(refused_here(bytes), client_refuses(bytes), "for {bytes:02x?}");
}

#[test]
fn mutated_replies() {
    let mut random = Random(0x5eed_cafe);
    let mut refused = 0;
    for _ in 0..200_000 {
        let bytes = mutated(&mut random);
        agrees(&bytes);
        refused += u32::from(refused_here(&bytes) == Some(true));
    }
    // A generator that only makes one kind would prove nothing.
    assert!((20_000..180_000).contains(&refused), "{refused} of 200000 refused");
}

#[test]
fn random_bytes() {
    let mut random = Random(0xdead_beef);
    for _ in 0..50_000 {
        let mut bytes: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        // Half of them get past the header.
        if bytes.len() >= 64 && random.below(2) == 0 {
            let sound = replies::reply(&[]);
            bytes[..64].copy_from_slice(&sound[..64]);
        }
        agrees(&bytes);
    }
}

#[test]
fn every_prefix_of_a_sound_reply() {
    let sound = replies::reply(&[replies::lease_v2(), replies::posix(), replies::on_disk_id()]);
    for len in 0..=sound.len() {
        agrees(&sound[..len]);
    }
}

#[test]
fn the_longest_list_ends() {
    // As many contexts as fit in the largest message: each takes a header's length.
    let mut list = Vec::new();
    while list.len() < 128 * 1024 {
        list.extend([16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0]);
    }
    let last = list.len() - 16;
    list[last] = 0;
    assert_eq!(verify(&replies::with_list(&list), Asked::guarded(), Level::Enforce), Outcome::Sound);
}
