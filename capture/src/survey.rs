// SPDX-License-Identifier: GPL-2.0
//! Every connection in a capture, and what was found in all of them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use verify::Client;

use crate::conversation::{Answer, Conversation, Dialect, Reply, ReplyVerdict};
use crate::framing::{Frame, Framing, Sender};
use crate::segment::{Link, Packet, Segment};
use crate::stream::{Piece, Stream};

/// How many replies came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that were judged.
    pub replies: u64,
    /// Of these, the ones that are sound at every level.
    pub sound: u64,
    /// The ones that only the strict level would reject.
    pub strict: u64,
    /// The ones that are sound for whoever asked, as far as that is known, and that Linux's client
    /// would not take.
    pub linux: u64,
    /// The ones that enforcing would reject, whoever asked.
    pub rejected: u64,
}

/// Verdicts by command and dialect.
pub type Tally = BTreeMap<(&'static str, Option<Dialect>), Counts>;

/// What was met beside judged replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets, of whatever kind.
    pub packets: u64,
    /// Connections to the port.
    pub connections: u64,
    /// Judged replies that say they are signed; signatures are not verified.
    pub signed: u64,
    /// Judged replies whose security blob was left out: no answer to raw NTLM.
    pub blobs_unjudged: u64,
    /// Encrypted messages from a server.
    pub encrypted: u64,
    /// Compressed messages from a server.
    pub compressed: u64,
    /// Messages of SMB1 from a server.
    pub smb1: u64,
    /// Messages from a server that were not captured whole.
    pub incomplete: u64,
    /// Times that a server's stream went on as something that is not SMB.
    pub foreign: u64,
    /// Bytes of servers' streams that were not captured.
    pub missing_bytes: u64,
    /// Packets that are fragments of IP, which are not put together.
    pub fragments: u64,
    /// Packets of a link type that is not known here.
    pub unknown_links: u64,
}

/// A reply, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In which of the files, counted from 0.
    pub file: usize,
    /// The packet with which it was complete, counted from 1.
    pub packet: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// Who answered.
    pub server: SocketAddr,
    /// What was found.
    pub reply: Reply,
}

/// Where we are in the captures.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    file: usize,
    packet: u64,
}

/// What was found.
/// So many replies are kept one by one; all are counted. A server may send as many as it likes.
const MOST_FOUND: usize = 200_000;

#[derive(Debug, Default)]
struct Findings {
    keep_sound: bool,
    place: Place,
    tally: Tally,
    totals: Totals,
    found: Vec<Found>,
}

/// Judges the replies in captures, packet by packet.
#[derive(Debug)]
pub struct Survey {
    port: u16,
    client: Client,
    connections: HashMap<Ends, Connection>,
    findings: Findings,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ends {
    client: SocketAddr,
    server: SocketAddr,
}

impl Survey {
    /// For servers on `port`. What is not sound is kept; with `keep_sound`, every reply is.
    #[must_use]
    pub fn new(port: u16, keep_sound: bool) -> Self {
        let findings = Findings { keep_sound, ..Findings::default() };
        Self { port, client: Client::Any, connections: HashMap::new(), findings }
    }

    /// The same, for clients that are all known to be this one.
    #[must_use]
    pub fn asked_by(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// A packet: in which file, its number there, how its bytes begin, and its bytes.
    pub fn packet(&mut self, file: usize, number: u64, link: Link, bytes: &[u8]) {
        self.findings.place = Place { file, packet: number };
        self.findings.totals.packets += 1;
        match Packet::read(link, bytes) {
            Packet::Segment(segment) => self.segment(&segment),
            Packet::Fragment => self.findings.totals.fragments += 1,
            Packet::Other if matches!(link, Link::Other(_)) => self.findings.totals.unknown_links += 1,
            Packet::Other => {}
        }
    }

    /// Nothing more will come. What was found, in the order of the captures.
    #[must_use]
    pub fn finish(mut self) -> (Tally, Totals, Vec<Found>) {
        let mut left: Vec<_> = self.connections.drain().collect();
        left.sort_by_key(|(ends, _)| *ends);
        for (ends, connection) in left {
            connection.finish(ends, &mut self.findings);
        }
        (self.findings.tally, self.findings.totals, self.findings.found)
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        let (ends, sender) = if segment.to.port() == self.port {
            (Ends { client: segment.from, server: segment.to }, Sender::Client)
        } else if segment.from.port() == self.port {
            (Ends { client: segment.to, server: segment.from }, Sender::Server)
        } else {
            return;
        };
        // The same ports again, for another connection.
        let anew = sender == Sender::Client && segment.syn;
        if anew && self.connections.get(&ends).is_some_and(|connection| connection.used) {
            let old = self.connections.remove(&ends);
            old.into_iter().for_each(|old| old.finish(ends, &mut self.findings));
        }
        let connection = self.connections.entry(ends).or_insert_with(|| {
            self.findings.totals.connections += 1;
            Connection::new(self.client)
        });
        connection.segment(sender, segment, ends, &mut self.findings);
    }
}

/// One connection.
#[derive(Debug)]
struct Connection {
    /// Whether it carried anything.
    used: bool,
    requests: Direction,
    replies: Direction,
    conversation: Conversation,
}

/// What one side sends.
#[derive(Debug)]
struct Direction {
    stream: Stream,
    framing: Framing,
}

impl Connection {
    fn new(client: Client) -> Self {
        let direction =
            |sender| Direction { stream: Stream::default(), framing: Framing::new(sender, false) };
        Self {
            used: false,
            requests: direction(Sender::Client),
            replies: direction(Sender::Server),
            conversation: Conversation::new(client),
        }
    }
}

impl Connection {
    fn segment(&mut self, sender: Sender, segment: &Segment<'_>, ends: Ends, findings: &mut Findings) {
        self.used |= !segment.bytes.is_empty();
        let Self { requests, replies, conversation, .. } = self;
        let mut ask = |frame: Frame<'_>| hear_request(&frame, conversation);
        if sender == Sender::Client {
            requests.take(sender, segment, &mut |_| {}, &mut ask);
        } else if let Some(sequence) = segment.acknowledged {
            requests.acknowledge(sequence, &mut |_| {}, &mut ask);
        }
        let mut missed = 0;
        let mut answer = |frame: Frame<'_>| hear_reply(&frame, conversation, ends, findings);
        if sender == Sender::Server {
            replies.take(sender, segment, &mut |many| missed += many, &mut answer);
        } else if let Some(sequence) = segment.acknowledged {
            replies.acknowledge(sequence, &mut |many| missed += many, &mut answer);
        }
        findings.totals.missing_bytes += missed;
    }

    fn finish(mut self, ends: Ends, findings: &mut Findings) {
        let Self { requests, replies, conversation, .. } = &mut self;
        requests.finish(&mut |_| {}, &mut |frame| hear_request(&frame, conversation));
        let mut missed = 0;
        let mut answer = |frame: Frame<'_>| hear_reply(&frame, conversation, ends, findings);
        replies.finish(&mut |many| missed += many, &mut answer);
        findings.totals.missing_bytes += missed;
    }
}

impl Direction {
    /// Takes a segment, gives how many bytes turn out to be missing, and the messages.
    fn take(
        &mut self,
        sender: Sender,
        segment: &Segment<'_>,
        missing: &mut impl FnMut(u64),
        give: &mut impl FnMut(Frame<'_>),
    ) {
        let Self { stream, framing } = self;
        if segment.syn {
            if !stream.begun() {
                *framing = Framing::new(sender, true);
            }
            stream.open(segment.sequence);
        }
        let first = segment.sequence.wrapping_add(segment.syn.into());
        stream.push(first, segment.bytes, &mut |piece| framed(framing, &piece, missing, give));
    }

    fn acknowledge(
        &mut self,
        sequence: u32,
        missing: &mut impl FnMut(u64),
        give: &mut impl FnMut(Frame<'_>),
    ) {
        let Self { stream, framing } = self;
        stream.acknowledge(sequence, &mut |piece| framed(framing, &piece, missing, give));
    }

    fn finish(&mut self, missing: &mut impl FnMut(u64), give: &mut impl FnMut(Frame<'_>)) {
        let Self { stream, framing } = self;
        stream.finish(&mut |piece| framed(framing, &piece, missing, give));
        framing.finish(give);
    }
}

/// Hands a piece on, and says how much is missing.
fn framed(
    framing: &mut Framing,
    piece: &Piece<'_>,
    missing: &mut impl FnMut(u64),
    give: &mut impl FnMut(Frame<'_>),
) {
    if let Piece::Missing(many) = piece {
        missing(*many);
    }
    framing.push(piece, give);
}

fn hear_request(frame: &Frame<'_>, conversation: &mut Conversation) {
    if let Frame::Whole(message) = frame {
        conversation.request(message);
    }
}

fn hear_reply(frame: &Frame<'_>, conversation: &mut Conversation, ends: Ends, findings: &mut Findings) {
    match frame {
        Frame::Whole(message) => conversation.reply(message, &mut |answer| findings.take(answer, ends)),
        Frame::Incomplete => findings.totals.incomplete += 1,
        Frame::Foreign => findings.totals.foreign += 1,
    }
}

impl Findings {
    fn take(&mut self, answer: Answer, ends: Ends) {
        match answer {
            Answer::Judged(reply) => self.judged(reply, ends),
            Answer::Encrypted => self.totals.encrypted += 1,
            Answer::Compressed => self.totals.compressed += 1,
            Answer::Smb1 => self.totals.smb1 += 1,
            Answer::Foreign => self.totals.foreign += 1,
        }
    }

    fn judged(&mut self, reply: Reply, ends: Ends) {
        let counts = self.tally.entry((reply.command, reply.dialect)).or_default();
        counts.replies += 1;
        match reply.verdict {
            ReplyVerdict::Sound => counts.sound += 1,
            ReplyVerdict::Strict(_) => counts.strict += 1,
            ReplyVerdict::Linux(_) => counts.linux += 1,
            ReplyVerdict::Rejected(_) => counts.rejected += 1,
        }
        self.totals.signed += u64::from(reply.signed);
        self.totals.blobs_unjudged += u64::from(reply.blob_unjudged);
        let wanted = self.keep_sound || reply.verdict != ReplyVerdict::Sound;
        if wanted && self.found.len() < MOST_FOUND {
            let Place { file, packet } = self.place;
            let Ends { client, server } = ends;
            self.found.push(Found { file, packet, client, server, reply });
        }
    }
}
