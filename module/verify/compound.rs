// SPDX-License-Identifier: GPL-2.0
//! Compounds: several messages in one (MS-SMB2 2.2.1.2, `NextCommand`; 3.2.5.1.9).

use super::cursor::Cursor;
use super::header::Header;
use super::malformed::{Level, Malformed, Rule};

/// Where `NextCommand` stands in a header.
const NEXT_COMMAND: usize = 20;
/// The least that the client takes for a step: a byte less than a header, by a slip of its own.
const SHORTEST: usize = 63;
/// How many messages of one encrypted compound the client takes.
const MOST: usize = 10;

/// How a compound came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As it is: the client takes one message after another off the connection.
    Plain,
    /// In one encrypted message: the client has all of it before it looks.
    Encrypted,
}

/// Verifies what one header says of the next.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify_next(header: Header, level: Level) -> Result<(), Malformed> {
    let next = usize::try_from(header.next).unwrap_or(usize::MAX);
    level.require(
        next == 0 || next >= SHORTEST,
        Rule::CompoundNextInHeader,
        NEXT_COMMAND,
    )?;
    level.require(next % 8 == 0, Rule::CompoundNextMisaligned, NEXT_COMMAND)
}

/// The messages of a compound, each by itself, as [`verify`](super::verify) takes them.
///
/// After an error there are no more. Offsets of errors count from the start of the compound.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    compound: Cursor<'a>,
    carrier: Carrier,
    at: usize,
    given: usize,
    ended: bool,
}

impl<'a> Messages<'a> {
    /// The messages of `compound`: what one transport header, or one encrypted message, carries.
    #[must_use]
    pub const fn new(compound: &'a [u8], carrier: Carrier) -> Self {
        Self {
            compound: Cursor::new(compound),
            carrier,
            at: 0,
            given: 0,
            ended: compound.is_empty(),
        }
    }

    /// The message at `self.at`, and how far it is to the next; 0 when there is none.
    fn split(&self) -> Result<(&'a [u8], usize), Malformed> {
        let rest = self.compound.len().saturating_sub(self.at);
        let field = self.at.saturating_add(NEXT_COMMAND);
        let next = self.compound.size32(field).unwrap_or(0);
        let whole = self.compound.bytes(self.at, rest).unwrap_or_default();
        let wrong = |rule| Malformed {
            rule,
            offset: field,
        };
        if self.carrier == Carrier::Encrypted {
            if self.given >= MOST {
                return Err(wrong(Rule::CompoundTooMany));
            }
            if next > 0 && next.saturating_add(SHORTEST) > rest {
                return Err(wrong(Rule::CompoundNextOutside));
            }
        }
        match next {
            0 => Ok((whole, 0)),
            next if next < SHORTEST => Err(wrong(Rule::CompoundNextInHeader)),
            // More than came: the client goes on reading from the connection.
            next if next >= rest => Ok((whole, 0)),
            next => Ok((self.compound.bytes(self.at, next).unwrap_or_default(), next)),
        }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let split = self.split();
        // A step is 0, which ends it, or at least `SHORTEST`.
        let step = split.as_ref().map_or(0, |(_, step)| *step);
        self.ended = step == 0;
        self.at = self.at.saturating_add(step);
        self.given = self.given.saturating_add(1);
        Some(split.map(|(message, _)| message))
    }
}
