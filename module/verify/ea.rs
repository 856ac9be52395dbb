// SPDX-License-Identifier: GPL-2.0
//! Lists of extended attributes (MS-FSCC 2.4.15), for callers that know that one was asked for.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of an attribute before its name, in bytes.
const HEADER_LEN: usize = 8;

/// How many bytes the four attributes of WSL take: without values, and with all of them.
const WSL_LEN: core::ops::RangeInclusive<usize> = 63..=84;

/// One attribute at the start of a list: where the next one begins, or 0, and how long its name
/// and value are, in bytes.
struct Attribute {
    next: usize,
    name_len: usize,
    value_len: usize,
}

impl Attribute {
    /// Reads the fixed part at the start of `list`; `None` when it is shorter.
    fn read(list: Cursor<'_>) -> Option<Self> {
        Some(Self {
            next: list.size32(0)?,
            name_len: list.byte(5)?.into(),
            value_len: list.size16(6)?,
        })
    }

    /// The length of all of it: fixed part, name, NUL, value.
    const fn len(&self) -> usize {
        HEADER_LEN
            .saturating_add(self.name_len)
            .saturating_add(1)
            .saturating_add(self.value_len)
    }
}

/// Verifies a list of attributes. With a name `wanted`, the client reads no further than to the
/// attribute of that name.
///
/// # Errors
///
/// The first rule that the list breaks.
pub fn verify(list: Cursor<'_>, wanted: Option<&[u8]>, level: Level) -> Result<(), Malformed> {
    level.require(list.len() >= HEADER_LEN, Rule::EaShort, list.len())?;
    let mut at = 0usize;
    // Each turn goes on by at least a fixed part.
    while let Some(rest) = list.after(at).filter(|rest| !rest.is_empty()) {
        let trailing = Malformed {
            rule: Rule::EaTrailing,
            offset: at,
        };
        let attribute = Attribute::read(rest).ok_or(trailing)?;
        // An attribute without a name ends the list.
        if attribute.name_len == 0 {
            break;
        }
        level.require(rest.holds(0, attribute.len()), Rule::EaOutside, at)?;
        let found = wanted.is_some() && rest.bytes(HEADER_LEN, attribute.name_len) == wanted;
        if found || attribute.next == 0 {
            break;
        }
        level.require(attribute.next >= HEADER_LEN, Rule::EaNextInHeader, at)?;
        level.require(attribute.next <= rest.len(), Rule::EaNextOutside, at)?;
        let beyond = attribute.next >= attribute.len() && attribute.next % 4 == 0;
        level.require(beyond, Rule::EaNextInEntry, at)?;
        at = at.saturating_add(attribute.next);
    }
    Ok(())
}

/// Verifies the attributes by which WSL keeps owner, mode and device of a file.
///
/// # Errors
///
/// The first rule that the list breaks.
pub fn verify_wsl(list: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(WSL_LEN.contains(&list.len()), Rule::WslSize, list.len())?;
    let mut at = 0usize;
    // Each turn goes on by at least 4 bytes.
    loop {
        let outside = Malformed {
            rule: Rule::WslOutside,
            offset: at,
        };
        let rest = list.after(at).ok_or(outside)?;
        let attribute = Attribute::read(rest).ok_or(outside)?;
        let name = rest
            .bytes(HEADER_LEN, 6)
            .filter(|_| attribute.name_len == 6)
            .ok_or(outside)?;
        level.require(rest.holds(0, attribute.len()), Rule::WslOutside, at)?;
        let known = match attribute.value_len {
            4 => matches!(name, b"$LXUID" | b"$LXGID" | b"$LXMOD"),
            8 => name == b"$LXDEV",
            0 => matches!(name, b"$LXUID" | b"$LXGID" | b"$LXMOD" | b"$LXDEV"),
            _ => false,
        };
        level.require(known, Rule::WslValue, at)?;
        if attribute.next == 0 {
            return Ok(());
        }
        if attribute.next % 4 != 0 {
            return Err(Malformed {
                rule: Rule::WslNextMisaligned,
                offset: at,
            });
        }
        at = at.saturating_add(attribute.next);
    }
}
