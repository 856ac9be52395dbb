// SPDX-License-Identifier: GPL-2.0
//! The output of a successful IOCTL, by its `CtlCode` (MS-SMB2 2.2.32; MS-FSCC 2.3).
//!
//! The reply repeats the code of the request. The client goes by the request, and a server that
//! repeats another code gains nothing by it: the client then looks at the output as it would have
//! without this.

use super::asked::Asked;
use super::cursor::Cursor;
use super::header;
use super::malformed::{Level, Malformed, Rule};
use super::{interfaces, output, referrals, reparse};

/// Where `CtlCode` stands in the reply.
const CODE: usize = 68;
/// `FSCTL_DFS_GET_REFERRALS`.
const GET_REFERRALS: u32 = 0x0006_0194;
/// `FSCTL_GET_REPARSE_POINT`.
const GET_REPARSE_POINT: u32 = 0x0009_00a8;
/// `FSCTL_QUERY_NETWORK_INTERFACE_INFO`.
const QUERY_INTERFACES: u32 = 0x0014_01fc;
/// `FSCTL_SRV_REQUEST_RESUME_KEY`.
const REQUEST_RESUME_KEY: u32 = 0x0014_0078;
/// `FSCTL_QUERY_ALLOCATED_RANGES`.
const QUERY_RANGES: u32 = 0x0009_40cf;

/// The longest output that the client takes where it copies it, in bytes.
const LONGEST: usize = 0xff00;
/// Length of a resume key and what follows it always, in bytes.
const RESUME_KEY_LEN: usize = 28;
/// Length of an allocated range, in bytes.
const RANGE_LEN: usize = 16;

/// Verifies the output of `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The first rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    output::verify(reply, header::IOCTL, asked, level)?;
    let Some(found) = output::find(reply, header::IOCTL).ok().flatten() else {
        return Ok(());
    };
    let list = found.bytes;
    let verdict = match reply.le32(CODE).unwrap_or(0) {
        GET_REPARSE_POINT => reparse::verify_header(list).map(drop),
        _ if list.is_empty() => Ok(()),
        GET_REFERRALS => verify_length(list, asked, level)
            .and_then(|()| referrals::verify_asked(list, asked, level)),
        QUERY_INTERFACES => {
            verify_length(list, asked, level).and_then(|()| interfaces::verify(list, level))
        }
        REQUEST_RESUME_KEY => verify_resume_key(list, level),
        QUERY_RANGES => verify_ranges(list, false, level),
        _ => Ok(()),
    };
    verdict.map_err(|broken| broken.at(found.at))
}

/// The same, where the client copies it for itself: what it does not take, it refuses before.
fn verify_length(output: Cursor<'_>, asked: Asked, level: Level) -> Result<(), Malformed> {
    if asked.is_by_kernel_alone() {
        verify_copied(output, level)
    } else {
        Ok(())
    }
}

/// Verifies that an output is no longer than the client takes where it copies it.
///
/// # Errors
///
/// The rule that it breaks.
pub fn verify_copied(output: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(output.len() <= LONGEST, Rule::IoctlLong, 0)
}

/// Verifies a resume key (MS-SMB2 2.2.32.3).
///
/// # Errors
///
/// The rule that it breaks.
pub fn verify_resume_key(output: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(
        output.len() >= RESUME_KEY_LEN,
        Rule::ResumeKeyShort,
        output.len(),
    )
}

/// Verifies a list of allocated ranges; `more` says whether the reply said that there are more.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify_ranges(output: Cursor<'_>, more: bool, level: Level) -> Result<(), Malformed> {
    let whole = output.len() & (RANGE_LEN - 1) == 0;
    level.require(whole, Rule::RangesPartial, output.len())?;
    level.require(!(more && output.is_empty()), Rule::RangesNone, 0)
}
