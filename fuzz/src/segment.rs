// SPDX-License-Identifier: GPL-2.0
//! TCP segments, as seeds are made of them and as a target makes them of its bytes.

/// A TCP segment of a connection to port 445, from its IP header on. Of `kind` the lowest bit says
/// whether the server sends it, the next whether it opens the connection, and the others what it
/// acknowledges. `place` is where it stands in its stream, near where sequence numbers begin anew.
#[must_use]
pub fn segment(kind: u8, place: u8, payload: &[u8]) -> Vec<u8> {
    let base = u32::MAX - 60;
    let ends = [(1u8, 50_000u16), (2, 445)];
    let [(from, from_port), (to, to_port)] = if kind & 1 == 0 { ends } else { [ends[1], ends[0]] };
    let length = u16::try_from(40 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut segment = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 6, 0, 0];
    segment.extend([10, 0, 0, from, 10, 0, 0, to]);
    segment.extend(from_port.to_be_bytes());
    segment.extend(to_port.to_be_bytes());
    segment.extend(base.wrapping_add(place.into()).to_be_bytes());
    segment.extend(base.wrapping_add((kind & !3).into()).to_be_bytes());
    segment.extend([0x50, 0x10 | kind & 2, 1, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    segment
}
