// SPDX-License-Identifier: GPL-2.0
//! One direction of a TCP connection: its bytes in their order, once each (RFC 9293, 3.4).

use std::collections::BTreeMap;

/// How much may wait for what comes before it, in bytes, until that is given up as missing: the
/// largest message that there is.
const MOST_HELD: usize = 16 << 20;

/// A part of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of one segment, in their order.
    Bytes(&'a [u8]),
    /// So many bytes were not captured.
    Missing(u64),
}

/// The stream so far. Places in it have 64 bits, so that none wraps.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Where the next byte stands; nowhere before the first segment.
    next: Option<u64>,
    /// Segments that came too early, by their place.
    early: BTreeMap<u64, Vec<u8>>,
    /// How many bytes these hold.
    held: usize,
}

impl Stream {
    /// Whether anything was seen of it.
    pub(crate) fn begun(&self) -> bool {
        self.next.is_some()
    }

    /// The connection is opened, and its first byte follows on `sequence`.
    pub(crate) fn open(&mut self, sequence: u32) {
        if self.next.is_none() {
            self.next = Some(place_of_first(sequence.wrapping_add(1)));
        }
    }

    /// A segment came.
    pub(crate) fn push(&mut self, sequence: u32, bytes: &[u8], give: &mut impl FnMut(Piece<'_>)) {
        if bytes.is_empty() {
            return;
        }
        let next = *self.next.get_or_insert(place_of_first(sequence));
        let at = place(sequence, next);
        if at > next {
            self.hold(at, bytes);
            if self.held > MOST_HELD {
                self.skip(give);
            }
        } else {
            self.take(at, bytes, give);
            self.take_early(give);
        }
    }

    /// The other side has everything before `sequence`: what is missing of that will not come
    /// again.
    pub(crate) fn acknowledge(&mut self, sequence: u32, give: &mut impl FnMut(Piece<'_>)) {
        let Some(next) = self.next else { return };
        let acknowledged = place(sequence, next);
        while self.early.first_key_value().is_some_and(|(at, _)| *at <= acknowledged) {
            self.skip(give);
        }
    }

    /// Nothing more will come.
    pub(crate) fn finish(&mut self, give: &mut impl FnMut(Piece<'_>)) {
        while !self.early.is_empty() {
            self.skip(give);
        }
    }

    /// Keeps a segment for later; of two at one place the longer one.
    fn hold(&mut self, at: u64, bytes: &[u8]) {
        let kept = self.early.entry(at).or_default();
        if kept.len() < bytes.len() {
            self.held += bytes.len() - kept.len();
            *kept = bytes.to_vec();
        }
    }

    /// Gives what is new in a segment that begins no later than the next byte.
    fn take(&mut self, at: u64, bytes: &[u8], give: &mut impl FnMut(Piece<'_>)) {
        let next = self.next.unwrap_or(at);
        let known = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) {
            self.next = Some(next + new.len() as u64);
            give(Piece::Bytes(new));
        }
    }

    /// Gives the segments whose turn has come.
    fn take_early(&mut self, give: &mut impl FnMut(Piece<'_>)) {
        while let Some(first) = self.early.first_entry() {
            if self.next.is_none_or(|next| *first.key() > next) {
                break;
            }
            let (at, bytes) = first.remove_entry();
            self.held -= bytes.len();
            self.take(at, &bytes, give);
        }
    }

    /// Gives up what is missing before the first segment that came too early.
    fn skip(&mut self, give: &mut impl FnMut(Piece<'_>)) {
        if let (Some((&at, _)), Some(next)) = (self.early.first_key_value(), self.next) {
            give(Piece::Missing(at.saturating_sub(next)));
            self.next = Some(at);
            self.take_early(give);
        }
    }
}

/// A place that leaves room before it, for what comes again from before.
const fn place_of_first(sequence: u32) -> u64 {
    (1 << 32) + sequence as u64
}

/// The place of a sequence number, which is the one nearest to `next`.
fn place(sequence: u32, next: u64) -> u64 {
    let ahead = sequence.wrapping_sub(next as u32).cast_signed();
    next.saturating_add_signed(ahead.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `segments`, by sequence number, come to; `!N` is an acknowledgement.
    fn stream(first: u32, steps: &[(u32, &str)]) -> String {
        let mut stream = Stream::default();
        let mut text = String::new();
        let mut give = |piece: Piece<'_>| match piece {
            Piece::Bytes(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
            Piece::Missing(many) => text.push_str(&format!("<{many}>")),
        };
        stream.open(first);
        for (offset, bytes) in steps {
            let sequence = first.wrapping_add(1).wrapping_add(*offset);
            match *bytes {
                "ack" => stream.acknowledge(sequence, &mut give),
                bytes => stream.push(sequence, bytes.as_bytes(), &mut give),
            }
        }
        stream.finish(&mut give);
        assert_eq!(stream.held, 0);
        text
    }

    #[test]
    fn bytes_come_in_order_and_once() {
        for first in [0, 7, u32::MAX - 4, u32::MAX] {
            assert_eq!(stream(first, &[(0, "one"), (3, "two")]), "onetwo");
            assert_eq!(stream(first, &[(0, "one"), (0, "one"), (3, "two"), (2, "et")]), "onetwo", "again");
            assert_eq!(stream(first, &[(6, "three"), (3, "two"), (0, "one")]), "onetwothree", "late");
            assert_eq!(stream(first, &[(3, "two"), (3, "twothree"), (0, "one")]), "onetwothree", "longer");
            assert_eq!(stream(first, &[(0, "one"), (2, "etwo")]), "onetwo", "overlapping");
            assert_eq!(stream(first, &[(4, "wo"), (3, "t"), (0, "one"), (1, "netw")]), "onetwo", "all of it");
        }
    }

    #[test]
    fn what_is_missing_is_said_where_it_is_missing() {
        assert_eq!(stream(9, &[(0, "one"), (6, "three")]), "one<3>three");
        assert_eq!(stream(9, &[(6, "three"), (20, "five")]), "<6>three<9>five");
        // Acknowledged, so that it will not come again; not acknowledged, so that it may.
        assert_eq!(stream(9, &[(3, "two"), (6, "ack"), (0, "one"), (6, "three")]), "<3>twothree");
        assert_eq!(stream(9, &[(3, "two"), (2, "ack"), (0, "one"), (6, "three")]), "onetwothree");
    }

    #[test]
    fn no_more_is_held_than_the_largest_message() {
        let mut stream = Stream::default();
        let mut missing = 0;
        let mut give = |piece: Piece<'_>| missing += u64::from(matches!(piece, Piece::Missing(_)));
        stream.open(0);
        for nth in 1..40 {
            stream.push(1 + nth * (1 << 20), &vec![0; (1 << 20) - 1], &mut give);
            assert!(stream.held <= MOST_HELD);
        }
        assert!(missing > 0);
    }
}
