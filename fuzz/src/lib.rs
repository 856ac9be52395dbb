// SPDX-License-Identifier: GPL-2.0
//! What every fuzz target asks: a reply of its kind, verified in every way, neither panics nor
//! hangs, and what is refused at the lesser level is refused at the strict one.

use capture::Survey;
use verify::{Content, Level, Outcome, compound, header};

/// An SMB2 reply's header of this command and status, and `body` after it.
#[must_use]
pub fn reply(command: u16, status: u32, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0; header::LEN];
    message[0..4].copy_from_slice(b"\xfeSMB");
    message[4] = 64;
    message[8..12].copy_from_slice(&status.to_le_bytes());
    message[12..14].copy_from_slice(&command.to_le_bytes());
    message[16] = 1; // a reply
    message.extend_from_slice(body);
    message
}

/// Verifies a reply, and what it holds as each of `contents`.
///
/// # Panics
///
/// The strict level accepts what the lesser one refuses.
pub fn judge(message: &[u8], contents: &[Content<'_>]) {
    let [lesser, strict] = [Level::Enforce, Level::Strict].map(|level| verify::verify(message, level));
    let refused = |outcome| matches!(outcome, Outcome::Malformed(_));
    assert!(!refused(lesser) || refused(strict), "{lesser:?} and {strict:?}");
    for content in contents {
        let [lesser, strict] = [Level::Enforce, Level::Strict].map(|level| content.verify(message, level));
        assert!(lesser.is_ok() || strict.is_err(), "{content:?}: {lesser:?}");
    }
}

/// Splits a compound both ways, and verifies each of its messages.
///
/// # Panics
///
/// The messages are more than the compound.
pub fn split(compound: &[u8]) {
    for carrier in [compound::Carrier::Plain, compound::Carrier::Encrypted] {
        let mut received = 0;
        for message in compound::Messages::new(compound, carrier).filter_map(Result::ok) {
            received += message.len();
            judge(message, &[]);
        }
        assert!(received <= compound.len());
    }
}

/// Ends a survey that keeps every reply.
///
/// # Panics
///
/// A reply was counted that was not kept, or the other way round.
pub fn counted(survey: Survey) {
    let (tally, _, found) = survey.finish();
    let mut replies = 0;
    for counts in tally.values() {
        assert_eq!(counts.replies, counts.sound + counts.strict + counts.rejected);
        replies += counts.replies;
    }
    assert_eq!(replies, found.len() as u64);
}

/// A TCP segment of a connection to port 445, from its IP header on. Of `kind` the lowest bit says whether the server sends it, the next
/// whether it opens the connection, and the others what it acknowledges. `place` is where it stands in its stream, near
/// where sequence numbers begin anew.
#[must_use]
pub fn segment(kind: u8, place: u8, payload: &[u8]) -> Vec<u8> {
    let base = u32::MAX - 60;
    let ends = [(1u8, 50_000u16), (2, 445)];
    let [(from, from_port), (to, to_port)] = if kind & 1 == 0 { ends } else { [ends[1], ends[0]] };
    let length = u16::try_from(40 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut segment = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 6, 0, 0];
    segment.extend([10, 0, 0, from, 10, 0, 0, to]);
    segment.extend(from_port.to_be_bytes());
    segment.extend(to_port.to_be_bytes());
    segment.extend(base.wrapping_add(place.into()).to_be_bytes());
    segment.extend(base.wrapping_add((kind & !3).into()).to_be_bytes());
    segment.extend([0x50, 0x10 | kind & 2, 1, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    segment
}
