// SPDX-License-Identifier: GPL-2.0
//! Requests and replies of one connection, and the verdict on each reply.

use std::collections::BTreeMap;
use std::fmt;

use verify::compound::{Carrier, Messages};
use verify::{Asked, Client, Cursor, Header, Level, Malformed, Outcome, Request, header};

use crate::request;

/// How many requests may wait for their replies; a client has credits for fewer.
const MOST_WAITING: usize = 1 << 16;

/// Where `Flags`, and `MessageId`, stand in a header.
const FLAGS: usize = 16;
const MESSAGE_ID: usize = 24;
/// `SMB2_FLAGS_SIGNED`.
const SIGNED: u32 = 8;
/// `MessageId` of what the server sends unasked.
const UNASKED: u64 = u64::MAX;
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
    /// Nothing is wrong with it as an answer to what was asked, as far as that is known. Linux's
    /// client never asks for such an answer, and would not take it.
    Linux(Malformed),
    /// Wrong for whoever asked: enforcing would reject it.
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
    /// Whether its security blob was left out, as only an answer to raw NTLM is judged.
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
struct Waiting {
    command: u16,
    request: Request,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    client: Client,
    dialect: Option<Dialect>,
    /// Whether the client has said that it takes notifications; `None` when that was not captured.
    notifications: Option<bool>,
    waiting: BTreeMap<u64, Waiting>,
}

impl Conversation {
    /// With this client.
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, dialect: None, notifications: None, waiting: BTreeMap::new() }
    }

    /// The client sent a message.
    pub(crate) fn request(&mut self, message: &[u8]) {
        for message in Messages::new(message, Carrier::Plain).map_while(Result::ok) {
            let message = Cursor::new(message);
            let Some((id, header)) = message.le64(MESSAGE_ID).zip(Header::read(message)) else { continue };
            self.notifications = request::takes_notifications(message, header).or(self.notifications);
            let Some(request) = request::read(message, header) else { continue };
            self.waiting.insert(id, Waiting { command: header.command, request });
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
        let mut request = header.map_or(Request::Unknown, |header| self.answered(header, cursor));
        if let Some(dialect) = header.and_then(|header| negotiated(header, cursor)) {
            self.dialect = Some(dialect);
        }
        let challenge = header.is_some_and(|header| {
            (header.command, header.status) == (header::SESSION_SETUP, header::MORE_PROCESSING)
        });
        let blob_unjudged = challenge && request != Request::SessionSetup { raw_ntlm: true };
        if blob_unjudged {
            request = Request::SessionSetup { raw_ntlm: false };
        }
        let verdict = verdict(reply, Asked { client: self.client, request });
        Reply { blob_unjudged, ..self.described(reply, verdict) }
    }

    /// What a reply answers. It is no longer waited for, unless this one only says that it is still
    /// to come.
    fn answered(&mut self, header: Header, reply: Cursor<'_>) -> Request {
        let id = reply.le64(MESSAGE_ID).unwrap_or(0);
        if id == UNASKED {
            return self
                .notifications
                .map_or(Request::Unknown, |notifications| Request::Unasked { notifications });
        }
        let waiting = self.waiting.get(&id).copied();
        if header.status != PENDING {
            self.waiting.remove(&id);
        }
        let of_this = waiting.filter(|waiting| waiting.command == header.command);
        of_this.map_or(Request::Unknown, |waiting| waiting.request)
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

/// The verifier's judgement of an answer to this: of the request that was captured, and of what
/// Linux's client would have asked.
fn verdict(reply: &[u8], asked: Asked) -> ReplyVerdict {
    // Whether a challenge was waited for is not for the client alone to say.
    let request = match asked.request {
        request @ Request::SessionSetup { .. } => request,
        _ => Request::Unknown,
    };
    let linux = Asked { request, ..Asked::by_kernel() };
    let asked = if asked.client == Client::Any { asked } else { linux };
    let broken = |asked, level| match verify::verify(reply, asked, level) {
        Outcome::Malformed(malformed) => Some(malformed),
        // What does not begin as a message of SMB2 does not get here.
        Outcome::NotChecked | Outcome::Sound => None,
    };
    let rejected = broken(asked, Level::Enforce).map(ReplyVerdict::Rejected);
    let linux = || broken(linux, Level::Enforce).map(ReplyVerdict::Linux);
    let strict = || broken(asked, Level::Strict).map(ReplyVerdict::Strict);
    rejected.or_else(linux).or_else(strict).unwrap_or(ReplyVerdict::Sound)
}
