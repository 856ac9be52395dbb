// SPDX-License-Identifier: GPL-2.0
//! A successful NEGOTIATE reply: its negotiate contexts (MS-SMB2 2.2.4, 2.2.4.1).
//!
//! The client reads them for dialect 3.1.1 only. Of all that they say it insists on the cipher
//! alone; what else is wrong with one it says in its log, and passes over. The security blob has
//! been verified with the frame; that it is well-formed ASN.1 is not verified here.

use super::asked::Asked;
use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// `DialectRevision`, `NegotiateContextCount` and `NegotiateContextOffset` in the reply.
const DIALECT: usize = 68;
const COUNT: usize = 70;
const OFFSET: usize = 124;
/// The one dialect with contexts.
const SMB311: u16 = 0x0311;

/// Length of a context's header, in bytes.
const HEADER_LEN: usize = 8;
/// Where `DataLength` stands in a context.
const DATA_LENGTH: usize = 2;

/// `ContextType` (MS-SMB2 2.2.3.1).
const HASH: u16 = 1;
const CIPHER: u16 = 2;
const COMPRESSION: u16 = 3;
const SIGNING: u16 = 8;

/// Verifies the negotiate contexts of `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let count = reply.le16(COUNT).unwrap_or(0);
    if reply.le16(DIALECT) != Some(SMB311) || count == 0 {
        return Ok(());
    }
    let outside = Malformed {
        rule: Rule::NegotiateContextsOutside,
        offset: OFFSET,
    };
    let mut at = reply
        .size32(OFFSET)
        .filter(|at| *at < reply.len())
        .ok_or(outside)?;

    for left in (0..count).rev() {
        let rest = reply.after(at).ok_or(outside)?;
        let length = rest
            .size16(DATA_LENGTH)
            .map(|data| data.saturating_add(HEADER_LEN));
        // All but the last are filled up to a multiple of 8.
        let step = length.map(|length| match left {
            0 => length,
            _ => length.saturating_add(7) & !7,
        });
        let whole = length.zip(step).filter(|(_, step)| rest.holds(0, *step));
        let Some((context, step)) =
            whole.and_then(|(length, step)| Some((rest.part(0, length)?, step)))
        else {
            return level.require(false, Rule::NegotiateContextOutside, at);
        };
        verify_context(context, asked, level).map_err(|broken| broken.at(at))?;
        at = at.saturating_add(step);
    }
    Ok(())
}

/// Verifies one context, header and data. A number that is not there reads as 0, which no rule
/// lets pass.
fn verify_context(context: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let data = context.len().saturating_sub(HEADER_LEN);
    let number = |off| context.size16(off).unwrap_or(0);
    match context.le16(0).unwrap_or(0) {
        HASH => {
            let holds = data >= 6 && data.saturating_sub(6) >= number(10);
            level.require(holds, Rule::NegotiateHashShort, DATA_LENGTH)
        }
        CIPHER => {
            level.require(data >= 4, Rule::NegotiateCipherShort, DATA_LENGTH)?;
            level.require(number(8) == 1, Rule::NegotiateCipherCount, 8)?;
            // What is not there is no cipher either.
            let offered = asked.may_have_offered(context.le16(10).unwrap_or(0));
            level.require(offered, Rule::NegotiateCipherUnknown, 10)
        }
        COMPRESSION => {
            let count = number(8);
            let holds =
                data >= 10 && count > 0 && count.saturating_mul(2).saturating_add(8) <= data;
            level.require(holds, Rule::NegotiateCompressionShort, DATA_LENGTH)
        }
        SIGNING => {
            let holds = data >= 4 && number(8) == 1;
            level.require(holds, Rule::NegotiateSigningShort, DATA_LENGTH)
        }
        _ => Ok(()),
    }
}
