// SPDX-License-Identifier: GPL-2.0
//! Security descriptors (MS-DTYP 2.4.6), for callers that know that one was asked for.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of a descriptor's fixed part, in bytes, and where its offsets stand.
const FIXED_LEN: usize = 20;
const OWNER: usize = 4;
const GROUP: usize = 8;
const LIST: usize = 16;
/// Length of a SID without its parts, in bytes (MS-DTYP 2.4.2.2).
const SID_LEN: usize = 8;
/// Length of an access list's header, in bytes (MS-DTYP 2.4.5).
const LIST_LEN: usize = 8;
/// Length of an entry up to the parts of its SID, in bytes (MS-DTYP 2.4.4), and of the smallest.
const ENTRY_LEN: usize = 16;
const SMALLEST_ENTRY: usize = 20;
/// The most parts that a SID has.
const MOST_PARTS: u8 = 15;

/// What the client does with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Maps it to owner and mode. It passes over a malformed access list, so that this is refused
    /// at the strict level only.
    Mapped,
    /// Writes it back with a change, and insists on a sound access list.
    Rewritten,
}

/// Verifies a security descriptor.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify(descriptor: Cursor<'_>, used: Use, level: Level) -> Result<(), Malformed> {
    level.require(
        descriptor.len() >= FIXED_LEN,
        Rule::SecurityShort,
        descriptor.len(),
    )?;
    let offset = |field| descriptor.size32(field).unwrap_or(0);
    level.require(
        holds_sid(descriptor, offset(OWNER)),
        Rule::SecurityOwner,
        OWNER,
    )?;
    level.require(
        holds_sid(descriptor, offset(GROUP)),
        Rule::SecurityGroup,
        GROUP,
    )?;

    let at = offset(LIST);
    if at == 0 {
        return Ok(());
    }
    let inside = at >= FIXED_LEN && descriptor.holds(at, LIST_LEN);
    level.require(inside, Rule::SecurityListOffset, LIST)?;
    match (used, descriptor.after(at)) {
        (Use::Mapped, _) if level == Level::Enforce => Ok(()),
        (_, Some(list)) => verify_list(list).map_err(|broken| broken.at(at)),
        (_, None) => Ok(()),
    }
}

/// Whether a SID stands at `at`, after the fixed part.
fn holds_sid(descriptor: Cursor<'_>, at: usize) -> bool {
    let sid = descriptor
        .after(at)
        .filter(|sid| at >= FIXED_LEN && sid.holds(0, SID_LEN));
    sid.is_some_and(|sid| match sid.byte(1) {
        Some(parts) if parts <= MOST_PARTS => sid.holds(0, len_with(SID_LEN, parts)),
        _ => false,
    })
}

/// `fixed` bytes and the parts of a SID after them.
const fn len_with(fixed: usize, parts: u8) -> usize {
    fixed.saturating_add((parts as usize).saturating_mul(4))
}

/// Verifies the access list that `rest` begins with.
fn verify_list(rest: Cursor<'_>) -> Result<(), Malformed> {
    let outside = Malformed {
        rule: Rule::SecurityListOutside,
        offset: 2,
    };
    let size = rest
        .size16(2)
        .filter(|size| *size >= LIST_LEN)
        .ok_or(outside)?;
    let list = rest.part(0, size).ok_or(outside)?;
    let count = list.size16(4).ok_or(outside)?;
    if count > size.saturating_sub(LIST_LEN) / SMALLEST_ENTRY {
        return Err(Malformed {
            rule: Rule::SecurityEntryCount,
            offset: 4,
        });
    }
    let mut at = LIST_LEN;
    for _ in 0..count {
        let outside = Malformed {
            rule: Rule::SecurityEntryOutside,
            offset: at,
        };
        let len = list.after(at).and_then(entry_len).ok_or(outside)?;
        at = at.saturating_add(len);
    }
    Ok(())
}

/// The length of the entry at the start of `rest`, which holds a SID of at least one part.
fn entry_len(rest: Cursor<'_>) -> Option<usize> {
    let parts = rest
        .byte(9)
        .filter(|parts| (1..=MOST_PARTS).contains(parts))?;
    let size = rest
        .size16(2)
        .filter(|size| *size >= len_with(ENTRY_LEN, parts))?;
    rest.holds(0, size).then_some(size)
}
