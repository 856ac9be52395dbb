// SPDX-License-Identifier: GPL-2.0
//! A SESSION_SETUP reply that asks for more: the server's challenge (MS-SMB2 2.2.6; MS-NLMP
//! 2.2.1.2).
//!
//! The client goes on from such a reply with raw NTLM only, and refuses every other. What a
//! challenge must offer hangs on the mount's options, and is left to the client.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Where `SecurityBufferOffset` and `SecurityBufferLength` stand in the reply.
const BLOB_OFFSET: usize = 68;
const BLOB_LENGTH: usize = 70;
/// Where the fixed part ends and the security blob must begin.
const BLOB: usize = 72;

/// Length of a challenge's fixed part, in bytes, without the version that may follow.
const CHALLENGE_LEN: usize = 48;
/// How a challenge begins: a signature, and its `MessageType`.
const CHALLENGE: &[u8] = b"NTLMSSP\0\x02\0\0\0";
/// Where length and offset of the target information stand in a challenge.
const TARGET_LENGTH: usize = 40;
const TARGET_OFFSET: usize = 44;

/// Verifies the challenge in `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let Some((offset, length)) = reply.size16(BLOB_OFFSET).zip(reply.size16(BLOB_LENGTH)) else {
        // As an error without a body it passes the client's first check.
        return level.require(false, Rule::SessionSetupShort, reply.len());
    };
    level.require(offset == BLOB, Rule::SessionSetupBlobOffset, BLOB_OFFSET)?;
    // What is longer than the reply was refused with the frame.
    let blob = reply.part(BLOB, length).unwrap_or(Cursor::new(&[]));
    verify_challenge(blob, level).map_err(|broken| broken.at(BLOB))
}

/// Verifies an NTLM challenge.
///
/// # Errors
///
/// The first rule that it breaks; offsets count from its start.
pub fn verify_challenge(blob: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(
        blob.len() >= CHALLENGE_LEN,
        Rule::ChallengeShort,
        blob.len(),
    )?;
    level.require(
        blob.bytes(0, CHALLENGE.len()) == Some(CHALLENGE),
        Rule::ChallengeSignature,
        0,
    )?;
    let target = blob.size32(TARGET_OFFSET).zip(blob.size16(TARGET_LENGTH));
    let holds = target.is_some_and(|(offset, length)| blob.holds(offset, length));
    level.require(holds, Rule::ChallengeTargetOutside, TARGET_OFFSET)
}
