// SPDX-License-Identifier: GPL-2.0
//! POSIX information of one file, and the SIDs in it (SMB 3.1.1 POSIX extensions).

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of the numbers before the SIDs in the answer to a query, in bytes.
const FIXED_LEN: usize = 80;
/// Length of a SID without its parts, in bytes (MS-DTYP 2.4.2.2).
const SID_LEN: usize = 8;

/// The length of the SID at the start of `list`, in bytes: at least one part, at most 15, all
/// there.
#[must_use]
pub fn sid_len(list: Cursor<'_>) -> Option<usize> {
    let parts = list.byte(1).filter(|parts| (1..=15).contains(parts))?;
    let len = usize::from(parts).saturating_mul(4).saturating_add(SID_LEN);
    list.holds(0, len).then_some(len)
}

/// Verifies the owner's and the group's SID at the start of `list`, and gives the length of both.
///
/// # Errors
///
/// The first rule that is broken.
pub fn verify_sids(list: Cursor<'_>) -> Result<usize, Malformed> {
    let owner = sid_len(list).ok_or(Malformed {
        rule: Rule::PosixOwner,
        offset: 0,
    })?;
    let bad_group = Malformed {
        rule: Rule::PosixGroup,
        offset: owner,
    };
    let group = list.after(owner).and_then(sid_len).ok_or(bad_group)?;
    Ok(owner.saturating_add(group))
}

/// Verifies POSIX information as a query for it gives it.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify(info: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(info.len() > FIXED_LEN, Rule::PosixShort, info.len())?;
    let sids = info.after(FIXED_LEN).unwrap_or(Cursor::new(&[]));
    verify_sids(sids)
        .map(drop)
        .map_err(|broken| broken.at(FIXED_LEN))
}
