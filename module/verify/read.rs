// SPDX-License-Identifier: GPL-2.0
//! A successful READ reply: its data (MS-SMB2 2.2.20).
//!
//! Most reads of the client never pass through `smb2_check_message`: their data go from the
//! connection to the page cache. There the same is asked of them.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// `DataOffset`, one byte, and `DataLength` in the reply.
const DATA_OFFSET: usize = 66;
const DATA_LENGTH: usize = 68;
/// Where the fixed part ends. The client takes data that are said to stand earlier to stand here.
const FIXED_LEN: usize = 80;

/// Verifies `reply`, a whole SMB2 message from its header on.
///
/// # Errors
///
/// The rule that the reply breaks.
pub fn verify(reply: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let offset = usize::from(reply.byte(DATA_OFFSET).unwrap_or(0)).max(FIXED_LEN);
    let length = reply.size32(DATA_LENGTH).unwrap_or(0);
    level.require(length == 0 || reply.holds(offset, length), Rule::ReadDataOutside, DATA_OFFSET)
}
