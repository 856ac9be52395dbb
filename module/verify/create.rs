// SPDX-License-Identifier: GPL-2.0
//! The create contexts of a successful CREATE reply (MS-SMB2 2.2.14, 2.2.14.2).
//!
//! The client walks the contexts for a lease, an on-disk id and POSIX information. Kernels before
//! the last mending did so without holding `DataOffset`, `NameOffset` and `Next` against the
//! context's header, its own extent, and the 8-byte alignment. The rules below are those of the
//! mended client, in its order. Contents are judged at the strict level only (`create_data.rs`):
//! the client passes over a lease, an id or a SID of the wrong size.

use super::asked::Asked;
use super::create_data;
use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of the reply up to and including `CreateContextsLength`, in bytes.
const FIXED_LEN: usize = 152;
/// Where `CreateContextsOffset` stands in the reply.
const CONTEXTS_OFFSET: usize = 144;
/// Where `CreateContextsLength` stands in the reply.
const CONTEXTS_LENGTH: usize = 148;

/// Length of a context's header, in bytes (MS-SMB2 2.2.13.2).
const HEADER_LEN: u64 = 16;
/// Where `NameOffset` stands in a context; `Next` stands at 0.
const NAME_OFFSET: usize = 4;
/// Where `DataOffset` stands in a context.
const DATA_OFFSET: usize = 10;

/// What the header of one context says. Offsets count from the context's first byte.
///
/// The fields are 16 and 32 bits on the wire; 64 bits here, so that no sum of two can wrap.
#[derive(Clone, Copy)]
struct Context {
    next: u64,
    name_offset: u64,
    name_length: u64,
    data_offset: u64,
    data_length: u64,
}

/// Verifies the create contexts of `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let short = Malformed {
        rule: Rule::CreateShort,
        offset: reply.len(),
    };
    if reply.len() < FIXED_LEN {
        return Err(short);
    }
    let offset = reply.le32(CONTEXTS_OFFSET).ok_or(short)?;
    let length = reply.le32(CONTEXTS_LENGTH).ok_or(short)?;

    // The kernel's client refuses an offset outside the reply for an empty list too.
    if length == 0 && asked.is_by_anybody() {
        return Ok(());
    }
    match (usize::try_from(offset), usize::try_from(length)) {
        (Ok(offset), Ok(length)) if reply.bytes(offset, length).is_some() => {
            verify_contexts(reply, (offset, length), asked, level)
        }
        _ => Err(Malformed {
            rule: Rule::CreateContextsOutside,
            offset: CONTEXTS_OFFSET,
        }),
    }
}

/// Verifies the `remaining` bytes of contexts at `at`, all of which were received.
fn verify_contexts(
    reply: Cursor<'_>,
    (mut at, mut remaining): (usize, usize),
    asked: Asked,
    level: Level,
) -> Result<(), Malformed> {
    // Each turn consumes at least a header's length, or ends.
    while remaining > 0 {
        let trailing = Malformed {
            rule: Rule::CreateTrailing,
            offset: at,
        };
        let list = reply.part(at, remaining).ok_or(trailing)?;
        let context = read_context(list).ok_or(trailing)?;
        verify_context(context, remaining as u64, asked).map_err(|(rule, field)| Malformed {
            rule,
            offset: at.saturating_add(field),
        })?;
        verify_data(list, context, level).map_err(|broken| broken.at(at))?;
        if context.next == 0 {
            break;
        }
        // `verify_context` has seen that `next` lies within `remaining`; said once more here so
        // that the loop's end does not hang on it.
        let step = usize::try_from(context.next).unwrap_or(usize::MAX);
        let outside = Malformed {
            rule: Rule::CreateNextOutside,
            offset: at,
        };
        remaining = remaining.checked_sub(step).ok_or(outside)?;
        at = at.checked_add(step).ok_or(outside)?;
    }
    Ok(())
}

/// Reads the header at the start of `list`; `None` when it is shorter than one.
fn read_context(list: Cursor<'_>) -> Option<Context> {
    Some(Context {
        next: list.le32(0)?.into(),
        name_offset: list.le16(NAME_OFFSET)?.into(),
        name_length: list.le16(6)?.into(),
        data_offset: list.le16(DATA_OFFSET)?.into(),
        data_length: list.le32(12)?.into(),
    })
}

/// Verifies one context that begins `remaining` bytes before the end of the list. The error is
/// the rule and where the offending field stands in the context.
fn verify_context(context: Context, remaining: u64, asked: Asked) -> Result<(), (Rule, usize)> {
    let extent = match context.next {
        0 => remaining,
        next if next % 8 != 0 => return Err((Rule::CreateNextMisaligned, 0)),
        next if next >= remaining => return Err((Rule::CreateNextOutside, 0)),
        next if next < HEADER_LEN => return Err((Rule::CreateNextInHeader, 0)),
        next => next,
    };

    // The kernel's client holds a context without data to the same offset; the specification says
    // that it is 0.
    let has_data = context.data_length > 0 || !asked.is_by_anybody();
    if has_data && context.data_offset < HEADER_LEN {
        return Err((Rule::CreateDataInHeader, DATA_OFFSET));
    }
    let data_end = context.data_offset.saturating_add(context.data_length);
    if has_data && data_end > extent {
        return Err((Rule::CreateDataOutside, DATA_OFFSET));
    }

    let name_end = context.name_offset.saturating_add(context.name_length);
    if context.name_offset < HEADER_LEN {
        return Err((Rule::CreateNameInHeader, NAME_OFFSET));
    }
    if name_end > extent {
        return Err((Rule::CreateNameOutside, NAME_OFFSET));
    }
    // The specification does not say which of the two comes first.
    let data_first = asked.is_by_anybody() && data_end <= context.name_offset;
    if context.data_length > 0 && name_end > context.data_offset && !data_first {
        return Err((Rule::CreateNameOverData, NAME_OFFSET));
    }
    Ok(())
}

/// Verifies what a sound context at the start of `list` holds, as far as its name is known.
fn verify_data(list: Cursor<'_>, context: Context, level: Level) -> Result<(), Malformed> {
    let part =
        |offset: u64, length: u64| list.part(offset.try_into().ok()?, length.try_into().ok()?);
    match (
        part(context.name_offset, context.name_length),
        part(context.data_offset, context.data_length),
    ) {
        (Some(name), Some(data)) => {
            create_data::verify(name, data, level).map_err(|rule| Malformed {
                rule,
                offset: DATA_OFFSET,
            })
        }
        _ => Ok(()),
    }
}
