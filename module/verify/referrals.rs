// SPDX-License-Identifier: GPL-2.0
//! DFS referrals (MS-DFSC 2.2.4), the output of an IOCTL.
//!
//! The kernel's client asks for version 3 and about a path with a server and a share in it, and
//! reads what it is answered as entries of that version and with a path. Others ask for version 4,
//! and a domain's controller about domains: then an entry has another layout (2.2.5.3.2), and two
//! of its fields stand where a path and a target would.

use super::asked::Asked;
use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of the fixed part before the referrals, in bytes.
const FIXED_LEN: usize = 8;
/// Length of a referral of version 3 without its strings, in bytes.
const REFERRAL_LEN: usize = 34;
/// Length of what every version begins with, in bytes: version, size, type of server, flags.
const HEAD_LEN: usize = 8;
/// Length of a referral of version 2, and of version 3 or 4 without the 16 bytes that it may end
/// with, in bytes (MS-DFSC 2.2.5.2, 2.2.5.3).
const REFERRAL_2_LEN: usize = 22;
const SHORT_REFERRAL_LEN: usize = 18;

/// `NameListReferral` in the flags of a referral, which say that it is about a domain.
const NAME_LIST: u16 = 2;

/// What one referral begins with.
#[derive(Clone, Copy)]
struct Head {
    version: u16,
    size: usize,
    name_list: bool,
}

impl Head {
    /// Reads it; `None` when it is not all there.
    fn read(referral: Cursor<'_>) -> Option<Self> {
        let head = referral.part(0, HEAD_LEN)?;
        Some(Self {
            version: head.le16(0)?,
            size: head.size16(2)?,
            name_list: head.le16(6)? & NAME_LIST != 0,
        })
    }

    /// The least that its size can be, in bytes.
    const fn least(self) -> usize {
        match self.version {
            2 => REFERRAL_2_LEN,
            3 | 4 => SHORT_REFERRAL_LEN,
            // A name stands in one of version 1.
            _ => HEAD_LEN,
        }
    }
}

/// Verifies referrals as the kernel's client reads them. `path_len` is the length in bytes of the
/// path that was asked about, in UTF-8, when that is known. A server that has none to give says so
/// in a sound reply.
///
/// # Errors
///
/// The first rule that they break.
pub fn verify(list: Cursor<'_>, path_len: Option<usize>, level: Level) -> Result<(), Malformed> {
    let Some(count) = count(list, level)? else {
        return Ok(());
    };
    verify_room(list, count, level)?;
    level.require(
        list.le16(FIXED_LEN) == Some(3),
        Rule::ReferralsVersion,
        FIXED_LEN,
    )?;
    // In UTF-16 it takes at most twice as many bytes, and the client allows for a NUL.
    let consumed = list.size16(0).unwrap_or(0);
    let most = path_len.map_or(usize::MAX, |len| len.saturating_mul(2).saturating_add(2));
    level.require(consumed <= most, Rule::ReferralsConsumed, 0)?;
    verify_kernels(list, count, |_| REFERRAL_LEN, level)
}

/// Verifies referrals as an answer to what was `asked`.
///
/// # Errors
///
/// The first rule that they break.
pub fn verify_asked(list: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    let kernels = verify(list, None, level);
    // What the kernel's client takes, none is too particular for.
    if asked.is_by_kernel_alone() || kernels.is_ok() {
        return kernels;
    }
    let Some(count) = count(list, level)? else {
        return Ok(());
    };
    if asked.is_by_anybody() {
        return verify_anybodys(list, count, asked, level);
    }
    // A program that asks through the kernel's client may ask for another version. Every kernel
    // looks at the first referral's before it goes on, and leaves other versions alone.
    match list.le16(FIXED_LEN) {
        Some(3) => {}
        Some(_) => return Ok(()),
        // Not every kernel looks at how many fit in before it looks at that.
        None => return level.require(false, Rule::ReferralsCount, 2),
    }
    // It may ask about a domain as well. What the kernel would make of the answer is nonsense then,
    // and yet in what was received: only what points past that is refused.
    verify_room(list, count, level)?;
    let least = |head: Head| if head.name_list { 0 } else { REFERRAL_LEN };
    verify_kernels(list, count, least, level)
}

/// How many there are; `None` when there are none.
fn count(list: Cursor<'_>, level: Level) -> Result<Option<usize>, Malformed> {
    level.require(list.len() >= FIXED_LEN, Rule::ReferralsShort, list.len())?;
    Ok(list.size16(2).filter(|count| *count > 0))
}

/// Verifies that as many fit in as the kernel's client is about to read.
fn verify_room(list: Cursor<'_>, count: usize, level: Level) -> Result<(), Malformed> {
    let room = list.holds(FIXED_LEN, count.saturating_mul(REFERRAL_LEN));
    level.require(room, Rule::ReferralsCount, 2)
}

/// Verifies each one where the kernel's client reads it, with path and target no nearer than
/// `least` says.
fn verify_kernels(
    list: Cursor<'_>,
    count: usize,
    least: fn(Head) -> usize,
    level: Level,
) -> Result<(), Malformed> {
    let mut at = FIXED_LEN;
    for _ in 0..count {
        let Some((referral, head)) = list.after(at).and_then(|r| Some((r, Head::read(r)?))) else {
            return level.require(false, Rule::ReferralsCount, 2);
        };
        let inside = |field| is_inside(referral, field, least(head));
        level.require(inside(12), Rule::ReferralsPath, at.saturating_add(12))?;
        level.require(inside(16), Rule::ReferralsTarget, at.saturating_add(16))?;
        at = at.saturating_add(REFERRAL_LEN);
    }
    Ok(())
}

/// Verifies each one by its own version, size and layout.
fn verify_anybodys(
    list: Cursor<'_>,
    count: usize,
    asked: Asked,
    level: Level,
) -> Result<(), Malformed> {
    let mut at = FIXED_LEN;
    for _ in 0..count {
        let Some((referral, head)) = list.after(at).and_then(|r| Some((r, Head::read(r)?))) else {
            return level.require(false, Rule::ReferralsCount, 2);
        };
        let known = asked.may_have_asked_for_referrals(head.version);
        level.require(known, Rule::ReferralsVersion, at)?;
        let whole = head.size >= head.least() && referral.holds(0, head.size);
        level.require(whole, Rule::ReferralsCount, 2)?;
        verify_layout(referral, head, level).map_err(|broken| broken.at(at))?;
        at = at.saturating_add(head.size);
    }
    Ok(())
}

/// Verifies where path and target of one stand, as its version has them.
fn verify_layout(referral: Cursor<'_>, head: Head, level: Level) -> Result<(), Malformed> {
    let (path, target) = match head.version {
        2 => (16, 20),
        3 | 4 => (12, 16),
        _ => return Ok(()),
    };
    let least = head.size.min(REFERRAL_LEN);
    let inside = |field| is_inside(referral, field, least);
    level.require(inside(path), Rule::ReferralsPath, path)?;
    // Of a list of names there may be none: then nobody looks where they would stand.
    let named = !head.name_list || head.version == 2 || referral.le16(14) != Some(0);
    level.require(!named || inside(target), Rule::ReferralsTarget, target)
}

/// Whether the place in this field of a referral is at least so far from its start, and in what was
/// received.
fn is_inside(referral: Cursor<'_>, field: usize, least: usize) -> bool {
    let place = referral.size16(field);
    place.is_some_and(|at| at >= least && at <= referral.len())
}
