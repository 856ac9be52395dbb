// SPDX-License-Identifier: GPL-2.0
//! Verifies what an SMB server sends to the in-kernel SMB client.
//!
//! The judge is the client itself, in its newest mended form: what it would refuse is refused
//! here, and nothing else, because turning away a reply that the client can handle breaks a
//! mount, while letting one through leaves things as they were.
//!
//! Everything here is safe code on a received slice: no allocation, no recursion, no indexing
//! that can panic, and every loop consumes part of what remains. Paths are relative (`super::`)
//! so that the tree can hang at any place of a crate.

pub mod create;
pub mod cursor;
pub mod header;
pub mod malformed;

pub use self::cursor::Cursor;
pub use self::header::Header;
pub use self::malformed::{Malformed, Rule};

/// What became of one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not a kind of message that is verified here; the client's own checks are on their own.
    NotChecked,
    /// Verified, and sound.
    Sound,
    /// Verified, and the client must not parse it.
    Malformed(Malformed),
}

/// Verifies one SMB2 message (MS-SMB2 2.2.1), decrypted, without its transport header.
///
/// `message` is what was received of it, no more. Of a compound, each message is given by itself,
/// which is also how the client takes them.
///
/// Only replies to CREATE that report success are looked into: the client parses the create
/// contexts of no others, and an error reply has another layout (MS-SMB2 2.2.2).
#[must_use]
pub fn verify(message: &[u8]) -> Outcome {
    let message = Cursor::new(message);
    match Header::read(message) {
        Some(header) if header.is_reply_to(header::CREATE) && header.status == header::SUCCESS => {
            match create::verify_reply(message) {
                Ok(()) => Outcome::Sound,
                Err(malformed) => Outcome::Malformed(malformed),
            }
        }
        _ => Outcome::NotChecked,
    }
}
