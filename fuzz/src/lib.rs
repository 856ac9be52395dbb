// SPDX-License-Identifier: GPL-2.0
//! What every fuzz target asks: a reply of its kind, verified in every way, neither panics nor
//! hangs, and what is refused at the lesser level is refused at the strict one.

mod segment;

use capture::Survey;
use verify::asked::Ciphers;
use verify::{Asked, Content, Level, Outcome, Request, compound, header};

pub use segment::segment;

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

/// Everything that may have been asked.
const ASKED: [Asked; 10] = [
    Asked::guarded(),
    Asked::by_kernel(),
    Asked::by_anybody(Request::Unknown),
    Asked::by_anybody(Request::Negotiate(Ciphers::none().with(3))),
    Asked::by_anybody(Request::SessionSetup { raw_ntlm: true }),
    Asked::by_anybody(Request::SessionSetup { raw_ntlm: false }),
    Asked::by_anybody(Request::Directory { class: 1, most: 1 << 20 }),
    Asked::by_anybody(Request::Referrals { level: 4, most: 1 << 16 }),
    Asked::by_anybody(Request::Unasked { notifications: true }),
    Asked::by_anybody(Request::Other),
];

/// Verifies a reply, and what it holds as each of `contents`.
///
/// # Panics
///
/// The strict level accepts what the lesser one refuses.
pub fn judge(message: &[u8], contents: &[Content<'_>]) {
    for asked in ASKED {
        let [lesser, strict] =
            [Level::Enforce, Level::Strict].map(|level| verify::verify(message, asked, level));
        let refused = |outcome| matches!(outcome, Outcome::Malformed(_));
        assert!(!refused(lesser) || refused(strict), "{asked:?}: {lesser:?} and {strict:?}");
    }
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
        assert_eq!(counts.replies, counts.sound + counts.strict + counts.linux + counts.rejected);
        replies += counts.replies;
    }
    assert_eq!(replies, found.len() as u64);
}
