// SPDX-License-Identifier: GPL-2.0
//! The entries of a directory (MS-FSCC 2.4), for callers that know which kind was asked for.
//!
//! The client takes the entries up to the first that is malformed, and reports success. So what is
//! wrong with an entry is refused at the strict level only, and [`verify`] says how many were
//! taken.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};
use super::posix;

/// What every kind of entry has at least, in bytes.
const HEAD: usize = 64;
/// Where `FileNameLength` stands in every entry but a POSIX one; `NextEntryOffset` stands at 0.
const NAME_LENGTH: usize = 60;

/// The kinds of entries that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `FileDirectoryInformation`.
    Directory,
    /// `FileFullDirectoryInformation`.
    Full,
    /// `FileIdFullDirectoryInformation`.
    IdFull,
    /// The entry of the POSIX extensions.
    Posix,
}

impl Class {
    /// Length of an entry without what varies, in bytes.
    #[must_use]
    pub const fn fixed_len(self) -> usize {
        match self {
            Self::Directory => 64,
            Self::Full => 68,
            Self::IdFull => 80,
            Self::Posix => 88,
        }
    }
}

/// Verifies the entries at the start of `list`, which for the client goes on to the end of the
/// reply, and counts those that it takes.
///
/// # Errors
///
/// The first rule that an entry breaks.
pub fn verify(list: Cursor<'_>, class: Class, level: Level) -> Result<usize, Malformed> {
    level.require(
        list.len() >= class.fixed_len(),
        Rule::DirectoryShort,
        list.len(),
    )?;
    let fixed = class.fixed_len();
    let mut rest = list;
    let mut taken = 0usize;
    // Each turn goes on by at least a byte: a step of 0 ends it.
    loop {
        let at = list.len().saturating_sub(rest.len());
        let (next, len) = match entry(rest, class, fixed) {
            Ok(found) => found,
            Err(rule) => {
                level.require(false, rule, at)?;
                return Ok(taken);
            }
        };
        taken = taken.wrapping_add(1);
        level.require(next == 0 || next >= len, Rule::DirectoryNextInEntry, at)?;
        if next == 0 {
            return Ok(taken);
        }
        rest = match rest.after(next) {
            Some(following) if !following.is_empty() => following,
            _ => {
                level.require(false, Rule::DirectoryEntryOutside, at.saturating_add(next))?;
                return Ok(taken);
            }
        };
    }
}

/// Of the entry at the start of `rest`, how far it says the next one is, and its length with its
/// name; or the rule that it breaks. `fixed` is the length of what does not vary.
#[inline]
fn entry(rest: Cursor<'_>, class: Class, fixed: usize) -> Result<(usize, usize), Rule> {
    // A part of known length: what is read of it below needs no check.
    let Some(head) = rest.part(0, HEAD).filter(|_| rest.len() >= fixed) else {
        return Err(Rule::DirectoryEntryOutside);
    };
    let varying = match class {
        Class::Posix => posix_len(rest).ok_or(Rule::DirectoryPosix)?,
        _ => head
            .size32(NAME_LENGTH)
            .filter(|len| i32::try_from(*len).is_ok())
            .unwrap_or(usize::MAX),
    };
    let len = fixed.saturating_add(varying);
    if rest.holds(0, len) {
        Ok((head.size32(0).unwrap_or(0), len))
    } else {
        Err(Rule::DirectoryNameOutside)
    }
}

/// How many bytes SIDs and name of a POSIX entry take; `None` when they are not all there.
fn posix_len(rest: Cursor<'_>) -> Option<usize> {
    let varying = rest.after(Class::Posix.fixed_len())?;
    let sids = posix::verify_sids(varying).ok()?;
    let name_len = varying
        .size32(sids)
        .filter(|len| (1..=0xffff).contains(len))?;
    let len = sids.checked_add(4)?.checked_add(name_len)?;
    varying.holds(0, len).then_some(len)
}
