// SPDX-License-Identifier: GPL-2.0
//! The symbolic link in an error reply (MS-SMB2 2.2.2, 2.2.2.1, 2.2.2.2.1).
//!
//! It is the only thing that the client reads in an error reply. From dialect 3.1.1 on it stands in
//! an error context, before that bare.

use super::asked::Asked;
use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};
use super::reparse;

/// `ErrorContextCount`, one byte, and `ByteCount` in the reply.
const CONTEXT_COUNT: usize = 66;
const BYTE_COUNT: usize = 68;
/// Where the fixed part ends and the error's data begin.
const DATA: usize = 72;

/// Length of an error context's header, in bytes: `ErrorDataLength`, `ErrorId`.
const HEADER_LEN: usize = 8;
/// Length of a symbolic link before its names, in bytes.
const LINK_LEN: usize = 28;
/// `SymLinkErrorTag` and `ReparseTag` of a symbolic link.
const LINK_TAG: u32 = 0x4c4d_5953;
const REPARSE_TAG: u32 = 0xa000_000c;

/// Verifies the symbolic link in `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let Some(at) = find_link(reply, level)? else {
        return Ok(());
    };
    let link = reply.after(at).unwrap_or(Cursor::new(&[]));
    verify_link(link, asked, level).map_err(|broken| broken.at(at))
}

/// Verifies besides what the link leads to: for callers that know that the client will follow it.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify_followed(reply: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    verify(reply, Asked::by_kernel(), level)?;
    let Some(at) = find_link(reply, level)? else {
        return Ok(());
    };
    let start = at.saturating_add(LINK_LEN);
    let target = reply.after(at).and_then(|link| {
        let (offset, length) = (link.size16(16)?, link.size16(18)?);
        link.after(LINK_LEN)?.part(offset, length)
    });
    reparse::verify_target(target.unwrap_or(Cursor::new(&[])), level)
        .map_err(|broken| broken.at(start))
}

/// Where the link begins; `None` when the reply gives none, as the client allows.
fn find_link(reply: Cursor<'_>, level: Level) -> Result<Option<usize>, Malformed> {
    let count = usize::from(reply.byte(CONTEXT_COUNT).unwrap_or(0));
    let bytes = reply.size32(BYTE_COUNT).unwrap_or(0);
    let short = Malformed {
        rule: Rule::SymlinkShort,
        offset: BYTE_COUNT,
    };
    match (count, bytes) {
        // Too short even for these two is an error without a body; no link either.
        (0, 0) => level
            .require(false, Rule::SymlinkMissing, BYTE_COUNT)
            .map(|()| None),
        (0, _) if bytes < LINK_LEN || !reply.holds(DATA, LINK_LEN) => Err(short),
        (0, _) => Ok(Some(DATA)),
        _ => {
            // Whatever they hold, there must be room for a link in each, and a byte more.
            let least = count.saturating_mul(HEADER_LEN + LINK_LEN);
            if bytes < least || !reply.holds(DATA, least.saturating_add(1)) {
                return Err(short);
            }
            find_context(reply).map(Some)
        }
    }
}

/// Where the data of the first error context begin that holds a link.
fn find_context(reply: Cursor<'_>) -> Result<usize, Malformed> {
    let mut at = DATA;
    // Each turn goes on by at least a header.
    while let Some(rest) = reply.after(at).filter(|rest| rest.holds(0, HEADER_LEN)) {
        let data = at.saturating_add(HEADER_LEN);
        // `ErrorId` 0 is the one of a link.
        if rest.le32(4) == Some(0) {
            return Ok(data);
        }
        let length = rest.size32(0).unwrap_or(0);
        let step = length.saturating_add(7) & !7;
        if length > rest.len() || !rest.holds(HEADER_LEN, step) {
            return Err(Malformed {
                rule: Rule::SymlinkContextOutside,
                offset: at,
            });
        }
        at = data.saturating_add(step);
    }
    Err(Malformed {
        rule: Rule::SymlinkNoContext,
        offset: at,
    })
}

/// Verifies the symbolic link that `link` begins with, and whose names may take all of it.
fn verify_link(link: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let names = link.after(LINK_LEN);
    level.require(names.is_some(), Rule::SymlinkShort, link.len())?;
    level.require(link.le32(4) == Some(LINK_TAG), Rule::SymlinkTag, 4)?;
    level.require(link.le32(8) == Some(REPARSE_TAG), Rule::SymlinkTag, 8)?;
    let holds = |field: usize| {
        let name = link.size16(field).zip(link.size16(field.saturating_add(2)));
        names.zip(name).is_some_and(|(names, (offset, length))| {
            let none = length == 0 && asked.is_by_anybody();
            none || names.holds(offset, length)
        })
    };
    level.require(holds(16), Rule::SymlinkTargetOutside, 16)?;
    level.require(holds(20), Rule::SymlinkPrintOutside, 20)
}
