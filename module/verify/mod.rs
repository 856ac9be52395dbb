// SPDX-License-Identifier: GPL-2.0
//! Verifies what an SMB server sends to the in-kernel SMB client.
//!
//! The judge is the client itself, in its newest mended form: what it would refuse is refused
//! here, and nothing else, because turning away a reply that the client can handle breaks a
//! mount, while letting one through leaves things as they were. What is asked beyond that is
//! marked [`Level::Strict`], and nobody gets it unasked. The client passes over some structures in
//! some replies, such as the create contexts after looking up a path; without the request that
//! cannot be told, so they are judged all the same. No sound server makes them malformed.
//!
//! What can be judged depends on what is known:
//!
//! - **The reply, and who asked**: [`verify`]. A reply is honest or not as an answer to its request
//!   ([`Asked`]). The guard has none of the requests, at `smb2_check_message`, but it knows whose
//!   they are; whoever has them says what they were. Judged are header
//!   and frame of every reply; the contexts of NEGOTIATE and CREATE, the challenge in
//!   SESSION_SETUP, the share of TREE_CONNECT, the symbolic link in an error; of
//!   QUERY_INFO, QUERY_DIRECTORY and CHANGE_NOTIFY the place of the output, and of IOCTL the output
//!   too where its code says what it is. Notifications of broken oplocks and leases have neither
//!   offsets nor lengths; their size is verified with the frame. The client looks at one although
//!   its first check has refused it, so that refusing one is only telling of it.
//! - **The request besides**: [`Content::verify`], for whoever can tell what was asked for:
//!   extended attributes, POSIX information, security descriptors, entries of a directory, what a
//!   reparse point holds.
//! - **A whole compound**: [`compound::Messages`]. The client splits one before
//!   `smb2_check_message`, so the rules `compound-next-outside` and `compound-too-many` are for the
//!   offline verifier. Most READ replies never reach that function either.
//!
//! Everything here is safe code on a received slice: no allocation, no recursion, no indexing
//! that can panic, and every loop consumes part of what remains. Paths are relative (`super::`)
//! so that the tree can hang at any place of a crate.

pub mod asked;
pub mod compound;
pub mod content;
pub mod create;
mod create_data;
pub mod cursor;
pub mod directory;
pub mod ea;
pub mod frame;
pub mod header;
pub mod interfaces;
pub mod ioctl;
pub mod malformed;
pub mod negotiate;
pub mod output;
pub mod posix;
pub mod referrals;
pub mod reparse;
pub mod security;
pub mod session_setup;
pub mod symlink;
pub mod tree_connect;

pub use self::asked::{Asked, Client, Request};
pub use self::content::Content;
pub use self::cursor::Cursor;
pub use self::header::Header;
pub use self::malformed::{Level, Malformed, Rule};

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

/// Verifies one SMB2 message (MS-SMB2 2.2.1), decrypted, without its transport header, as an answer
/// to what was `asked`.
///
/// `message` is what was received of it, no more. Of a compound, each message is given by itself,
/// which is also how the client takes them. A message that does not begin as SMB2 (of another
/// version, encrypted, or compressed) is not checked.
#[must_use]
pub fn verify(message: &[u8], asked: Asked, level: Level) -> Outcome {
    let message = Cursor::new(message);
    if !header::is_smb2(message) {
        return Outcome::NotChecked;
    }
    match verify_message(message, asked, level) {
        Ok(()) => Outcome::Sound,
        Err(malformed) => Outcome::Malformed(malformed),
    }
}

/// Verifies the frame, and then whatever the command and the status say is there.
fn verify_message(message: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let header = frame::verify(message, asked, level)?;
    match (header.command, header.status) {
        (header::NEGOTIATE, header::SUCCESS) => negotiate::verify(message, asked, level),
        (header::SESSION_SETUP, header::MORE_PROCESSING) => {
            session_setup::verify(message, asked, level)
        }
        (header::TREE_CONNECT, header::SUCCESS) => tree_connect::verify(message, level),
        (header::CREATE, header::SUCCESS) => create::verify(message, asked, level),
        (header::CREATE, header::STOPPED_ON_SYMLINK) => symlink::verify(message, asked, level),
        (header::IOCTL, header::SUCCESS) => ioctl::verify(message, asked, level),
        (
            command @ (header::QUERY_DIRECTORY | header::CHANGE_NOTIFY | header::QUERY_INFO),
            header::SUCCESS,
        ) => output::verify(message, command, asked, level),
        _ => Ok(()),
    }
}
