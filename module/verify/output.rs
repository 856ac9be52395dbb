// SPDX-License-Identifier: GPL-2.0
//! The output of a reply that has one: QUERY_INFO, QUERY_DIRECTORY and CHANGE_NOTIFY
//! (MS-SMB2 2.2.38, 2.2.34, 2.2.36), laid out alike, and IOCTL (2.2.32).
//!
//! What the output holds is known to whoever knows the request; see [`Content`](super::Content).

use super::asked::Asked;
use super::cursor::Cursor;
use super::header;
use super::malformed::{Level, Malformed, Rule};

/// Length of a change before the file's name, in bytes (MS-FSCC 2.7.1).
const CHANGE_LEN: usize = 12;
/// Where the output of a CHANGE_NOTIFY may begin. The client reads no output of a reply that ends
/// here or earlier.
const NOTIFY_FIXED_LEN: usize = 72;

/// The output of a reply: where it begins, from the SMB2 header, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Where it begins.
    pub at: usize,
    /// What it holds.
    pub bytes: Cursor<'a>,
}

/// The output of a successful reply to `command`, or the rule that it breaks by reaching past the
/// end of the reply. `None` for a command without output.
///
/// # Errors
///
/// The rule that the reply breaks.
pub fn find(reply: Cursor<'_>, command: u16) -> Result<Option<Output<'_>>, Malformed> {
    let (rule, field, place) = match command {
        header::IOCTL => (
            Rule::IoctlOutside,
            96,
            reply.size32(96).zip(reply.size32(100)),
        ),
        header::QUERY_INFO => (
            Rule::InfoOutside,
            66,
            reply.size16(66).zip(reply.size32(68)),
        ),
        header::QUERY_DIRECTORY => (
            Rule::DirectoryOutside,
            66,
            reply.size16(66).zip(reply.size32(68)),
        ),
        header::CHANGE_NOTIFY => (
            Rule::NotifyOutside,
            66,
            reply.size16(66).zip(reply.size32(68)),
        ),
        _ => return Ok(None),
    };
    let found = place.and_then(|(at, len)| {
        Some(Output {
            at,
            bytes: reply.part(at, len)?,
        })
    });
    found.map(Some).ok_or(Malformed {
        rule,
        offset: field,
    })
}

/// Verifies the place and length of the output of a successful reply to `command`.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(
    reply: Cursor<'_>,
    command: u16,
    asked: Asked,
    level: Level,
) -> Result<(), Malformed> {
    if command == header::CHANGE_NOTIFY && reply.len() <= NOTIFY_FIXED_LEN {
        return Ok(());
    }
    // The client asks nothing of the place of an IOCTL's output when there is none.
    if command == header::IOCTL && reply.le32(100) == Some(0) {
        return Ok(());
    }
    // Where none stands matters to its own parsers alone. That there is none of a directory's
    // entries is wrong by itself.
    let may_be_none = match command {
        header::QUERY_INFO => !asked.is_by_kernel_alone(),
        header::QUERY_DIRECTORY => false,
        _ => asked.is_by_anybody(),
    };
    if may_be_none && reply.le32(68) == Some(0) {
        return Ok(());
    }
    let Some(output) = find(reply, command)? else {
        return Ok(());
    };
    let len = output.bytes.len();
    match command {
        header::QUERY_DIRECTORY => {
            level.require(len >= asked.smallest_entry(), Rule::DirectoryShort, 68)
        }
        header::CHANGE_NOTIFY => level.require(len >= CHANGE_LEN, Rule::NotifyShort, 68),
        _ => Ok(()),
    }
}
