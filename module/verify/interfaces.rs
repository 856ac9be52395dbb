// SPDX-License-Identifier: GPL-2.0
//! The server's network interfaces (MS-SMB2 2.2.32.5), the output of an IOCTL.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of an interface, in bytes; `Next` stands at 0.
const ENTRY_LEN: usize = 152;

/// Verifies a list of interfaces; an empty one is what some servers send.
///
/// # Errors
///
/// The first rule that the list breaks.
pub fn verify(list: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let len = list.len();
    level.require(len == 0 || len >= ENTRY_LEN, Rule::InterfacesShort, len)?;
    let mut at = 0usize;
    // Each turn goes on by at least an interface's length.
    while let Some(rest) = list.after(at).filter(|rest| rest.holds(0, ENTRY_LEN)) {
        let next = rest.size32(0).unwrap_or(0);
        if next == 0 {
            return Ok(());
        }
        level.require(next >= ENTRY_LEN, Rule::InterfacesNextInEntry, at)?;
        level.require(next <= rest.len(), Rule::InterfacesNextOutside, at)?;
        at = at.saturating_add(next);
    }
    level.require(len == 0, Rule::InterfacesTrailing, at)
}
