// SPDX-License-Identifier: GPL-2.0
//! DFS referrals (MS-DFSC 2.2.4), the output of an IOCTL.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of the fixed part before the referrals, in bytes.
const FIXED_LEN: usize = 8;
/// Length of a referral of version 3 without its strings, in bytes.
const REFERRAL_LEN: usize = 34;

/// Verifies referrals. `path_len` is the length in bytes of the path that was asked about, in
/// UTF-8, when that is known. A server that has none to give says so in a sound reply.
///
/// # Errors
///
/// The first rule that they break.
pub fn verify(list: Cursor<'_>, path_len: Option<usize>, level: Level) -> Result<(), Malformed> {
    let short = Malformed {
        rule: Rule::ReferralsShort,
        offset: list.len(),
    };
    level.require(list.len() >= FIXED_LEN, Rule::ReferralsShort, list.len())?;
    let count = list.size16(2).ok_or(short)?;
    if count == 0 {
        return Ok(());
    }
    let room = list.holds(FIXED_LEN, count.saturating_mul(REFERRAL_LEN));
    level.require(room, Rule::ReferralsCount, 2)?;
    level.require(
        list.le16(FIXED_LEN) == Some(3),
        Rule::ReferralsVersion,
        FIXED_LEN,
    )?;
    // In UTF-16 it takes at most twice as many bytes, and the client allows for a NUL.
    let consumed = list.size16(0).ok_or(short)?;
    let most = path_len.map_or(usize::MAX, |len| len.saturating_mul(2).saturating_add(2));
    level.require(consumed <= most, Rule::ReferralsConsumed, 0)?;

    let mut at = FIXED_LEN;
    for _ in 0..count {
        let referral = list.after(at).ok_or(short)?;
        let inside = |field| {
            referral
                .size16(field)
                .is_some_and(|at| at >= REFERRAL_LEN && at <= referral.len())
        };
        level.require(inside(12), Rule::ReferralsPath, at.saturating_add(12))?;
        level.require(inside(16), Rule::ReferralsTarget, at.saturating_add(16))?;
        at = at.saturating_add(REFERRAL_LEN);
    }
    Ok(())
}
