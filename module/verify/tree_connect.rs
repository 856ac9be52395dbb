// SPDX-License-Identifier: GPL-2.0
//! A successful TREE_CONNECT reply (MS-SMB2 2.2.10). It has neither offsets nor lengths.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Where `ShareType` stands in the reply.
const SHARE_TYPE: usize = 66;

/// Verifies `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    // Disk, pipe, printer.
    let known = matches!(reply.byte(SHARE_TYPE), Some(1..=3));
    level.require(known, Rule::TreeConnectShareType, SHARE_TYPE)
}
