// SPDX-License-Identifier: GPL-2.0
//! Messages in a stream of bytes: the transport header of SMB (MS-SMB2 2.1) and what follows it.
//!
//! Where bytes are missing within a message, its length still says where the next one begins. Where
//! more is missing, or the capture began within a message, the next one is looked for at the start
//! of each segment and taken for one only when its header is that of a message in this direction.

use verify::{Cursor, Header, header};

use crate::stream::Piece;

/// Length of the transport header, in bytes.
const TRANSPORT: usize = 4;
/// Length of the header of an encrypted message (MS-SMB2 2.2.41), and where its
/// `OriginalMessageSize` stands.
const TRANSFORM: usize = 52;
const ORIGINAL_SIZE: usize = 36;
/// Length of the header of a compressed message (MS-SMB2 2.2.42), chained or not, as far as both
/// have the same fields: where the first says how it is compressed, and by how far it is.
const COMPRESSED: usize = 16;
const ALGORITHM: usize = 8;
const COMPRESSED_FLAGS: usize = 10;
const COMPRESSED_LENGTH: usize = 12;
/// What a message is compressed with (2.2.3.1.3): by itself LZNT1, LZ77 with or without Huffman, or
/// LZ4; the first part of a chained one also with nothing, or as a pattern.
const ALONE: [u16; 4] = [1, 2, 3, 5];
const CHAINED: [u16; 6] = [0, 1, 2, 3, 4, 5];
/// Length of the shortest message of SMB1 (MS-CIFS 2.2.3), where its flags stand, and which of them
/// says that it is a reply.
const SMB1: usize = 35;
const SMB1_FLAGS: usize = 9;
const SMB1_REPLY: u8 = 0x80;

/// A message, as it was carried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// All of it, without its transport header.
    Whole(&'a [u8]),
    /// Not all of it was captured.
    Incomplete,
    /// No message of SMB: nothing is known of what follows until one is found.
    Foreign,
}

/// Which side sends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The client: requests.
    Client,
    /// The server: replies.
    Server,
}

/// Where in the stream we are.
#[derive(Debug)]
enum State {
    /// Somewhere within a message, or after something that is none.
    Lost,
    /// In a transport header, of which these bytes are there.
    Transport(Vec<u8>),
    /// In a message that goes on for `left` bytes.
    Message { so_far: Vec<u8>, left: usize, holes: bool },
    /// In what NetBIOS sends by itself, for so many bytes.
    Control(usize),
}

/// The messages of one direction.
#[derive(Debug)]
pub(crate) struct Framing {
    sender: Sender,
    state: State,
}

impl Framing {
    /// For a stream whose beginning was captured, or not.
    pub(crate) fn new(sender: Sender, from_the_beginning: bool) -> Self {
        let state = if from_the_beginning { State::Transport(Vec::new()) } else { State::Lost };
        Self { sender, state }
    }

    /// Takes a piece of the stream, and gives the messages that it completes.
    pub(crate) fn push(&mut self, piece: &Piece<'_>, give: &mut impl FnMut(Frame<'_>)) {
        match piece {
            Piece::Bytes(bytes) => self.take(bytes, give),
            Piece::Missing(many) => self.miss(usize::try_from(*many).unwrap_or(usize::MAX), give),
        }
    }

    /// Nothing more will come.
    pub(crate) fn finish(&mut self, give: &mut impl FnMut(Frame<'_>)) {
        if matches!(self.state, State::Message { .. }) {
            give(Frame::Incomplete);
        }
        self.state = State::Lost;
    }

    fn take(&mut self, mut bytes: &[u8], give: &mut impl FnMut(Frame<'_>)) {
        if matches!(self.state, State::Lost) {
            if !begins_a_message(bytes, self.sender) {
                return;
            }
            self.state = State::Transport(Vec::new());
        }
        // Each turn takes a byte at least, or ends.
        while !bytes.is_empty() && !matches!(self.state, State::Lost) {
            let wanted = match &self.state {
                State::Lost => 0,
                State::Transport(so_far) => TRANSPORT - so_far.len(),
                State::Message { left, .. } | State::Control(left) => *left,
            };
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            self.step(now, give);
        }
    }

    /// Takes bytes that belong to one state.
    fn step(&mut self, now: &[u8], give: &mut impl FnMut(Frame<'_>)) {
        match &mut self.state {
            State::Lost => {}
            State::Transport(so_far) => {
                so_far.extend_from_slice(now);
                if let Ok(transport) = <[u8; TRANSPORT]>::try_from(so_far.as_slice()) {
                    self.state = after(transport);
                    if matches!(self.state, State::Lost) {
                        give(Frame::Foreign);
                    }
                }
            }
            State::Message { so_far, left, holes } => {
                if !*holes {
                    so_far.extend_from_slice(now);
                }
                *left -= now.len();
                self.end_message(give);
            }
            State::Control(left) => {
                *left -= now.len();
                if *left == 0 {
                    self.state = State::Transport(Vec::new());
                }
            }
        }
    }

    /// So many bytes are missing.
    fn miss(&mut self, many: usize, give: &mut impl FnMut(Frame<'_>)) {
        match &mut self.state {
            State::Message { so_far, left, holes } if *left >= many => {
                *left -= many;
                *holes = true;
                *so_far = Vec::new();
                self.end_message(give);
            }
            State::Message { .. } => {
                give(Frame::Incomplete);
                self.state = State::Lost;
            }
            State::Control(left) if *left > many => *left -= many,
            _ => self.state = State::Lost,
        }
    }

    /// Gives the message when it has come to its end.
    fn end_message(&mut self, give: &mut impl FnMut(Frame<'_>)) {
        let State::Message { so_far, left: 0, holes } = &self.state else { return };
        let known = matches!(so_far.get(..4), Some(b"\xfeSMB" | b"\xfdSMB" | b"\xfcSMB" | b"\xffSMB"));
        let next = match (holes, known) {
            (true, _) => {
                give(Frame::Incomplete);
                State::Transport(Vec::new())
            }
            (false, true) => {
                give(Frame::Whole(so_far));
                State::Transport(Vec::new())
            }
            (false, false) => {
                give(Frame::Foreign);
                State::Lost
            }
        };
        self.state = next;
    }
}

/// What follows a transport header.
fn after(transport: [u8; TRANSPORT]) -> State {
    let [kind, high, middle, low] = transport;
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    match (kind, length) {
        (0, 4..) => State::Message { so_far: Vec::new(), left: length, holes: false },
        // Session requests, their answers, and keep-alives of NetBIOS (RFC 1002, 4.3).
        (0x81..=0x85, 0) => State::Transport(Vec::new()),
        (0x81..=0x85, _) => State::Control(length),
        _ => State::Lost,
    }
}

/// Whether the server sends it without being asked.
fn is_unasked(command: u16) -> bool {
    matches!(command, header::OPLOCK_BREAK | header::NOTIFICATION)
}

/// Whether a segment begins with a transport header and a message that can only be one in this
/// direction.
fn begins_a_message(segment: &[u8], sender: Sender) -> bool {
    let Some((transport, message)) = segment.split_first_chunk::<TRANSPORT>() else { return false };
    let State::Message { left: length, .. } = after(*transport) else { return false };
    let cursor = Cursor::new(message);
    match message.get(..4) {
        Some(b"\xfeSMB") => Header::read(cursor).is_some_and(|header| {
            let right_way = match sender {
                Sender::Server => header.reply || is_unasked(header.command),
                Sender::Client => !header.reply,
            };
            let sizes = usize::from(header.size) == header::LEN && length >= header::LEN;
            right_way && sizes && (header.command <= header::OPLOCK_BREAK || is_unasked(header.command))
        }),
        Some(b"\xfdSMB") => {
            cursor.size32(ORIGINAL_SIZE).and_then(|size| size.checked_add(TRANSFORM)) == Some(length)
        }
        Some(b"\xfcSMB") => is_compressed(cursor, length),
        Some(b"\xffSMB") => {
            let reply = cursor.byte(SMB1_FLAGS).map(|flags| flags & SMB1_REPLY != 0);
            reply == Some(sender == Sender::Server) && length >= SMB1
        }
        _ => false,
    }
}

/// Whether a compressed message of this length begins so: chained or not, what is said to be there,
/// compressed or before that, is no more than comes.
fn is_compressed(message: Cursor<'_>, length: usize) -> bool {
    let algorithm = message.le16(ALGORITHM).is_some_and(|algorithm| match message.le16(COMPRESSED_FLAGS) {
        Some(0) => ALONE.contains(&algorithm),
        Some(1) => CHAINED.contains(&algorithm),
        _ => false,
    });
    let part = message.size32(COMPRESSED_LENGTH).and_then(|part| part.checked_add(COMPRESSED));
    algorithm && message.le32(4) != Some(0) && part.is_some_and(|part| part <= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of `len` bytes with its transport header; `command` stands in it.
    fn message(command: u8, len: usize) -> Vec<u8> {
        let mut message = vec![0; len];
        message[..4].copy_from_slice(b"\xfeSMB");
        (message[4], message[12], message[16]) = (64, command, 1);
        [&u32::try_from(len).unwrap().to_be_bytes()[..], &message].concat()
    }

    /// What pieces come to: `whole N` of a command, `incomplete`, `foreign`.
    fn frames(from_the_beginning: bool, pieces: &[Piece<'_>]) -> Vec<String> {
        let mut framing = Framing::new(Sender::Server, from_the_beginning);
        let mut found = Vec::new();
        let mut give = |frame: Frame<'_>| {
            found.push(match frame {
                Frame::Whole(message) => format!("{}:{}", message[12], message.len()),
                Frame::Incomplete => "incomplete".to_owned(),
                Frame::Foreign => "foreign".to_owned(),
            });
        };
        for piece in pieces {
            framing.push(piece, &mut give);
        }
        framing.finish(&mut give);
        found
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let all = [message(1, 80), message(2, 64), message(3, 300)].concat();
        for size in [1, 3, 4, 7, 68, 84, 100, all.len()] {
            let pieces: Vec<_> = all.chunks(size).map(Piece::Bytes).collect();
            assert_eq!(frames(true, &pieces), ["1:80", "2:64", "3:300"], "{size}");
        }
        assert_eq!(frames(true, &[Piece::Bytes(&all[..90])]), ["1:80", "incomplete"]);
    }

    #[test]
    fn a_message_with_a_hole_is_passed_over_exactly() {
        let (one, two) = (message(1, 300), message(2, 64));
        let [start, end] = [&one[..100], &one[200..]];
        let pieces = [Piece::Bytes(start), Piece::Missing(100), Piece::Bytes(end), Piece::Bytes(&two)];
        assert_eq!(frames(true, &pieces), ["incomplete", "2:64"]);
        // To the very end of it.
        let pieces = [Piece::Bytes(start), Piece::Missing(204), Piece::Bytes(&two)];
        assert_eq!(frames(true, &pieces), ["incomplete", "2:64"]);
    }

    #[test]
    fn after_a_larger_hole_only_what_must_be_a_message_is_one() {
        let (one, two) = (message(1, 300), message(2, 64));
        let rest = Piece::Bytes(&one[250..]);
        let lost = [Piece::Bytes(&one[..100]), Piece::Missing(300)];
        let [start, hole] = lost;
        assert_eq!(frames(true, &[start, hole, rest, Piece::Bytes(&two)]), ["incomplete", "2:64"]);
        assert_eq!(frames(false, &[Piece::Bytes(&one[9..]), Piece::Bytes(&two)]), ["2:64"], "begun within");
        for (at, value) in [(0, 1), (3, 63), (4, 0xfc), (8, 63), (16, 0x14), (20, 0)] {
            let mut other = two.clone();
            other[at] = value;
            assert_eq!(frames(false, &[Piece::Bytes(&other)]), [""; 0], "{at}");
        }
    }

    #[test]
    fn what_is_no_message_is_said_and_left() {
        let two = message(2, 64);
        assert_eq!(
            frames(true, &[Piece::Bytes(b"\x16\x03\x01\x02\0"), Piece::Bytes(&two)]),
            ["foreign", "2:64"]
        );
        assert_eq!(frames(true, &[Piece::Bytes(b"\0\0\0\x05HTTP/")]), ["foreign"]);
        let keep_alive = b"\x85\0\0\0";
        let request = b"\x81\0\0\x04name";
        assert_eq!(
            frames(true, &[Piece::Bytes(request), Piece::Bytes(keep_alive), Piece::Bytes(&two)]),
            ["2:64"]
        );
    }
}
