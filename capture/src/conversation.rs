// SPDX-License-Identifier: GPL-2.0
//! Requests and replies of one connection, and the verdict on each reply.

use std::collections::BTreeMap;
use std::fmt;

use verify::compound::{Carrier, Messages};
use verify::{Cursor, Header, Level, Malformed, Outcome, frame, header};

/// How many requests may wait for their replies; a client has credits for fewer.
const MOST_WAITING: usize = 1 << 16;

/// Where `Flags`, and `MessageId`, stand in a header.
const FLAGS: usize = 16;
const MESSAGE_ID: usize = 24;
/// `SMB2_FLAGS_SIGNED`.
const SIGNED: u32 = 8;
/// Where `SecurityBufferOffset` stands in a SESSION_SETUP request; the length follows it.
const REQUEST_BLOB: usize = 76;
/// Where `DialectRevision` stands in a NEGOTIATE reply.
const DIALECT: usize = 68;

/// A dialect of SMB (MS-SMB2 2.2.4, `DialectRevision`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dialect(pub u16);

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x0202 => "2.0.2",
            0x0210 => "2.1",
            0x0300 => "3.0",
            0x0302 => "3.0.2",
            0x0311 => "3.1.1",
            0x02ff => "2.x",
            other => return write!(f, "{other:#06x}"),
        };
        f.pad(name)
    }
}

/// What the verifier says of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// Sound at every level.
    Sound,
    /// Only the strict level would reject it.
    Strict(Malformed),
    /// Enforcing would reject it.
    Rejected(Malformed),
}

/// A reply that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The command, as MS-SMB2 2.2.1.2 spells it.
    pub command: &'static str,
    /// The status (MS-ERREF 2.3).
    pub status: u32,
    /// Which request it answers.
    pub message_id: u64,
    /// Its length, in bytes.
    pub length: usize,
    /// What was negotiated, where the capture holds that.
    pub dialect: Option<Dialect>,
    /// Whether it says that it is signed. The signature is not verified.
    pub signed: bool,
    /// Whether its security blob was left out, as only an answer to raw NTLM is the client's
    /// affair.
    pub blob_unjudged: bool,
    /// What the verifier says.
    pub verdict: ReplyVerdict,
}

/// What became of a message from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A reply in the clear.
    Judged(Reply),
    /// An encrypted message; how many replies are in it is not known either.
    Encrypted,
    /// A compressed message.
    Compressed,
    /// A message of SMB1.
    Smb1,
    /// Something in a compound that does not begin as a message.
    Foreign,
}

/// What is kept of a request until it is answered.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// A SESSION_SETUP whose security blob is raw NTLM, the only kind that the client goes on with.
    raw_ntlm: bool,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    dialect: Option<Dialect>,
    waiting: BTreeMap<u64, Request>,
}

impl Conversation {
    /// The client sent a message.
    pub(crate) fn request(&mut self, message: &[u8]) {
        for request in Messages::new(message, Carrier::Plain).map_while(Result::ok) {
            let request = Cursor::new(request);
            let Some((id, header)) = request.le64(MESSAGE_ID).zip(Header::read(request)) else { continue };
            let raw_ntlm = header.command == header::SESSION_SETUP && begins_with_ntlm(request);
            self.waiting.insert(id, Request { raw_ntlm });
            if self.waiting.len() > MOST_WAITING {
                self.waiting.pop_first();
            }
        }
    }

    /// The server sent a message; each reply in it is judged and given.
    pub(crate) fn reply(&mut self, message: &[u8], give: &mut impl FnMut(Answer)) {
        match message.get(..4) {
            Some(b"\xfdSMB") => give(Answer::Encrypted),
            Some(b"\xfcSMB") => give(Answer::Compressed),
            Some(b"\xffSMB") => give(Answer::Smb1),
            _ => {
                let mut last = message;
                for reply in Messages::new(message, Carrier::Plain) {
                    let judged = match reply {
                        Ok(reply) if !header::is_smb2(Cursor::new(reply)) => {
                            give(Answer::Foreign);
                            continue;
                        }
                        Ok(reply) => {
                            last = reply;
                            self.judge(reply)
                        }
                        // The step to what follows on a message is wrong: the client turns that one
                        // away.
                        Err(malformed) => self.described(last, ReplyVerdict::Rejected(malformed)),
                    };
                    give(Answer::Judged(judged));
                }
            }
        }
    }

    /// The verdict on one reply, by itself or out of a compound.
    fn judge(&mut self, reply: &[u8]) -> Reply {
        let cursor = Cursor::new(reply);
        let header = Header::read(cursor);
        let id = cursor.le64(MESSAGE_ID).unwrap_or(0);
        let request = self.waiting.get(&id).copied();
        let pending = header.is_some_and(|header| header.status == PENDING);
        if !pending {
            self.waiting.remove(&id);
        }
        if let Some(dialect) = header.and_then(|header| negotiated(header, cursor)) {
            self.dialect = Some(dialect);
        }
        let challenge = header.is_some_and(|header| {
            (header.command, header.status) == (header::SESSION_SETUP, header::MORE_PROCESSING)
        });
        let blob_unjudged = challenge && !request.is_some_and(|request| request.raw_ntlm);
        let verdict = if blob_unjudged { verdict(reply, frame_only) } else { verdict(reply, verify::verify) };
        Reply { blob_unjudged, ..self.described(reply, verdict) }
    }

    /// What is told of a reply beside the verdict.
    fn described(&self, reply: &[u8], verdict: ReplyVerdict) -> Reply {
        let cursor = Cursor::new(reply);
        let header = Header::read(cursor);
        Reply {
            command: header.map_or("OTHER", |header| header.command_name()),
            status: cursor.le32(8).unwrap_or(0),
            message_id: cursor.le64(MESSAGE_ID).unwrap_or(0),
            length: reply.len(),
            dialect: self.dialect,
            signed: cursor.le32(FLAGS).is_some_and(|flags| flags & SIGNED != 0),
            blob_unjudged: false,
            verdict,
        }
    }
}

/// `STATUS_PENDING`: the answer comes later, under the same id.
const PENDING: u32 = 0x0000_0103;

/// The dialect, when this is a reply that settles it.
fn negotiated(header: Header, reply: Cursor<'_>) -> Option<Dialect> {
    let settles = (header.command, header.status) == (header::NEGOTIATE, header::SUCCESS);
    reply.le16(DIALECT).filter(|_| settles).map(Dialect)
}

/// Whether the security blob of a SESSION_SETUP request is raw NTLM, not wrapped in SPNEGO.
fn begins_with_ntlm(request: Cursor<'_>) -> bool {
    let offset = request.size16(REQUEST_BLOB).unwrap_or(0);
    request.bytes(offset, 8) == Some(b"NTLMSSP\0")
}

/// The verifier's judgement, at both levels.
fn verdict(reply: &[u8], verify: fn(&[u8], Level) -> Outcome) -> ReplyVerdict {
    match (verify(reply, Level::Enforce), verify(reply, Level::Strict)) {
        (Outcome::Malformed(malformed), _) => ReplyVerdict::Rejected(malformed),
        (_, Outcome::Malformed(malformed)) => ReplyVerdict::Strict(malformed),
        // What does not begin as a message of SMB2 does not get here.
        (Outcome::NotChecked | Outcome::Sound, _) => ReplyVerdict::Sound,
    }
}

/// Verifies header and frame, and nothing of what the reply holds.
fn frame_only(reply: &[u8], level: Level) -> Outcome {
    frame::verify(Cursor::new(reply), level).map_or_else(Outcome::Malformed, |_| Outcome::Sound)
}
