// SPDX-License-Identifier: GPL-2.0
//! The entries of a directory (MS-FSCC 2.4), for callers that know which kind was asked for.
//!
//! The client takes the entries up to the first that is malformed, and reports success. So what is
//! wrong with an entry is refused at the strict level only, and [`verify`] says how many were taken.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};
use super::posix;

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
    level.require(list.len() >= class.fixed_len(), Rule::DirectoryShort, list.len())?;
    let mut at = 0usize;
    let mut taken = 0usize;
    // Each turn goes on by at least a byte: a step of 0 ends it.
    while let Some(rest) = list.after(at) {
        match entry_len(rest, class) {
            Err(rule) => {
                level.require(false, rule, at)?;
                break;
            }
            Ok(len) => {
                taken = taken.saturating_add(1);
                let next = rest.size32(0).unwrap_or(0);
                level.require(next == 0 || next >= len, Rule::DirectoryNextInEntry, at)?;
                if next == 0 {
                    break;
                }
                at = at.saturating_add(next);
                level.require(at < list.len(), Rule::DirectoryEntryOutside, at)?;
            }
        }
    }
    Ok(taken)
}

/// The length of the entry at the start of `rest`, its name included, or the rule that it breaks.
fn entry_len(rest: Cursor<'_>, class: Class) -> Result<usize, Rule> {
    let fixed = class.fixed_len();
    if rest.len() < fixed {
        return Err(Rule::DirectoryEntryOutside);
    }
    let varying = match class {
        Class::Posix => posix_len(rest).ok_or(Rule::DirectoryPosix)?,
        _ => rest.size32(NAME_LENGTH).filter(|len| i32::try_from(*len).is_ok()).unwrap_or(usize::MAX),
    };
    let len = fixed.saturating_add(varying);
    if rest.holds(0, len) {
        Ok(len)
    } else {
        Err(Rule::DirectoryNameOutside)
    }
}

/// How many bytes SIDs and name of a POSIX entry take; `None` when they are not all there.
fn posix_len(rest: Cursor<'_>) -> Option<usize> {
    let varying = rest.after(Class::Posix.fixed_len())?;
    let sids = posix::verify_sids(varying).ok()?;
    let name_len = varying.size32(sids).filter(|len| (1..=0xffff).contains(len))?;
    let len = sids.checked_add(4)?.checked_add(name_len)?;
    varying.holds(0, len).then_some(len)
}
