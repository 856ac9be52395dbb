// SPDX-License-Identifier: GPL-2.0
//! What single create contexts hold (MS-SMB2 2.2.14.2): judged at the strict level only.
//!
//! The client passes over a lease, an on-disk id or POSIX information that are too short, and does
//! not read the others at all. None of them can therefore be refused as the client would.

use super::cursor::Cursor;
use super::malformed::{Level, Rule};
use super::posix;

/// The name of the POSIX context: a GUID.
const POSIX: &[u8] = b"\x93\xad\x25\x50\x9c\xb4\x11\xe7\xb4\x23\x83\xde\x96\x8b\xcd\x7c";

/// Verifies the data of the context of this name. The error is the rule that they break.
pub(super) fn verify(name: Cursor<'_>, data: Cursor<'_>, level: Level) -> Result<(), Rule> {
    let len = data.len();
    let broken = match name.bytes(0, name.len()).unwrap_or_default() {
        // Leases of versions 1 and 2.
        b"RqLs" if !matches!(len, 32 | 52) => Rule::CreateLeaseSize,
        b"QFid" if len != 32 => Rule::CreateDiskIdSize,
        // None when the maximal access was not asked for anew.
        b"MxAc" if !matches!(len, 0 | 8) => Rule::CreateAccessSize,
        b"DHnQ" | b"DH2Q" if len != 8 => Rule::CreateDurableSize,
        POSIX if !holds_posix(data) => Rule::CreatePosixShort,
        _ => return Ok(()),
    };
    level
        .require(false, broken, 0)
        .map_err(|malformed| malformed.rule)
}

/// Whether `data` hold number of links, reparse tag and mode, and then the SIDs of owner and group.
fn holds_posix(data: Cursor<'_>) -> bool {
    data.after(12)
        .is_some_and(|sids| posix::verify_sids(sids).is_ok())
}
