// SPDX-License-Identifier: GPL-2.0
//! A SESSION_SETUP reply that asks for more: the server's challenge (MS-SMB2 2.2.6; MS-NLMP
//! 2.2.1.2).
//!
//! The client goes on from such a reply with raw NTLM only, and refuses every other. One that asked
//! with Kerberos, as a client of Linux may too, is answered in SPNEGO: that is an honest answer,
//! after which the kernel's client gives up, and is not judged. What a challenge must offer hangs
//! on the mount's options, and is left to the client.

use super::asked::Asked;
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
/// Where `NegotiateFlags` stand in a challenge, and what says in them that it has target
/// information. Without that nobody but the kernel's client looks for any.
const FLAGS: usize = 20;
const TARGET_INFO: u32 = 0x0080_0000;
/// Length of a challenge of those that have none and no place for it, in bytes.
const SHORTEST_CHALLENGE: usize = 32;
/// What a token of SPNEGO begins with (RFC 4178, RFC 2743 3.1): the tag of GSS-API, or that of a
/// first or later token without it.
const SPNEGO: [u8; 3] = [0x60, 0xa0, 0xa1];
/// Where length and offset of the target information stand in a challenge.
const TARGET_LENGTH: usize = 40;
const TARGET_OFFSET: usize = 44;

/// Verifies the challenge in `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let Some((offset, length)) = reply.size16(BLOB_OFFSET).zip(reply.size16(BLOB_LENGTH)) else {
        // As an error without a body it passes the client's first check.
        return level.require(false, Rule::SessionSetupShort, reply.len());
    };
    // What is longer than the reply was refused with the frame.
    let blob = reply.part(offset, length).unwrap_or(Cursor::new(&[]));
    if !asked.awaits_challenge(blob.byte(0).is_some_and(|first| SPNEGO.contains(&first))) {
        return Ok(());
    }
    let at_once = offset == BLOB || asked.is_by_anybody();
    level.require(at_once, Rule::SessionSetupBlobOffset, BLOB_OFFSET)?;
    verify_challenge(blob, asked, level).map_err(|broken| broken.at(offset))
}

/// Verifies an NTLM challenge.
///
/// # Errors
///
/// The first rule that it breaks; offsets count from its start.
pub fn verify_challenge(blob: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let flags = blob.le32(FLAGS).unwrap_or(0);
    let has_target = !asked.is_by_anybody() || flags & TARGET_INFO != 0;
    let least = if has_target {
        CHALLENGE_LEN
    } else {
        SHORTEST_CHALLENGE
    };
    level.require(blob.len() >= least, Rule::ChallengeShort, blob.len())?;
    level.require(
        blob.bytes(0, CHALLENGE.len()) == Some(CHALLENGE),
        Rule::ChallengeSignature,
        0,
    )?;
    let target = blob.size32(TARGET_OFFSET).zip(blob.size16(TARGET_LENGTH));
    let holds = target.is_some_and(|(offset, length)| blob.holds(offset, length));
    level.require(
        holds || !has_target,
        Rule::ChallengeTargetOutside,
        TARGET_OFFSET,
    )
}
