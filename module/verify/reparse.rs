// SPDX-License-Identifier: GPL-2.0
//! Reparse points (MS-FSCC 2.1.2), the output of an IOCTL.
//!
//! What they hold was written by whoever made the file, not by the server: an honest server may
//! give a malformed one. So that is judged by [`verify`] only, for callers that know that the
//! client is about to make sense of it, and [`verify_header`] is for the reply.

use super::cursor::Cursor;
use super::malformed::{Level, Malformed, Rule};

/// Length of a reparse point's header, in bytes.
const HEADER_LEN: usize = 8;
/// Length of the fixed part of a symbolic link, header included, before its names, in bytes.
const LINK_LEN: usize = 20;
/// Length of the type that the data of an NFS reparse point begin with.
const NFS_TYPE_LEN: usize = 8;

/// Reparse tags (MS-FSCC 2.1.2.1).
const NFS: u32 = 0x8000_0014;
const SYMLINK: u32 = 0xa000_000c;
const WSL_SYMLINK: u32 = 0xa000_001d;
/// A socket; and a FIFO, a character and a block device of WSL.
const BARE: [u32; 4] = [0x8000_0023, 0x8000_0024, 0x8000_0025, 0x8000_0026];

/// The types of files in an NFS reparse point (MS-FSCC 2.1.2.6): "LNK", "CHR", "BLK", "FIFO",
/// "SOCK".
const NFS_LINK: u64 = 0x014b_4e4c;
const NFS_CHARACTER: u64 = 0x0052_4843;
const NFS_BLOCK: u64 = 0x004b_4c42;
const NFS_FIFO: u64 = 0x4f46_4946;
const NFS_SOCKET: u64 = 0x4b43_4f53;

/// Verifies that the data of a reparse point are all there, and gives their length in bytes.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify_header(point: Cursor<'_>) -> Result<usize, Malformed> {
    let short = Malformed {
        rule: Rule::ReparseShort,
        offset: point.len(),
    };
    let header = point.part(0, HEADER_LEN).ok_or(short)?;
    let length = header.size16(4).ok_or(short)?;
    if point.holds(HEADER_LEN, length) {
        Ok(length)
    } else {
        Err(Malformed {
            rule: Rule::ReparseDataOutside,
            offset: 4,
        })
    }
}

/// Verifies a reparse point and what it holds, for the kinds that the client knows.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify(point: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let length = verify_header(point)?;
    let data = point.part(HEADER_LEN, length).unwrap_or(Cursor::new(&[]));
    match point.le32(0).unwrap_or(0) {
        NFS => verify_nfs(data, level).map_err(|broken| broken.at(HEADER_LEN)),
        SYMLINK => verify_symlink(point, level),
        WSL_SYMLINK => verify_wsl_symlink(data, level).map_err(|broken| broken.at(HEADER_LEN)),
        tag if BARE.contains(&tag) => level.require(length == 0, Rule::ReparseNotEmpty, 4),
        _ => Ok(()),
    }
}

/// Verifies the data of an NFS reparse point.
fn verify_nfs(data: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    level.require(data.len() >= NFS_TYPE_LEN, Rule::ReparseNfsSize, data.len())?;
    let rest = data.after(NFS_TYPE_LEN).unwrap_or(Cursor::new(&[]));
    let right_size = match data.le64(0).unwrap_or(0) {
        NFS_LINK => {
            return verify_target(rest, level).map_err(|broken| broken.at(NFS_TYPE_LEN));
        }
        NFS_CHARACTER | NFS_BLOCK => rest.len() == 8,
        NFS_FIFO | NFS_SOCKET => rest.is_empty(),
        _ => true,
    };
    level.require(right_size, Rule::ReparseNfsSize, NFS_TYPE_LEN)
}

/// Verifies a symbolic link. The client holds its name against all that was received.
fn verify_symlink(point: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let name = point.size16(8).zip(point.size16(10));
    let target = name.and_then(|(offset, length)| point.after(LINK_LEN)?.part(offset, length));
    level.require(target.is_some(), Rule::ReparseNameOutside, 8)?;
    verify_target(target.unwrap_or(Cursor::new(&[])), level).map_err(|broken| broken.at(LINK_LEN))
}

/// Verifies the data of a symbolic link of WSL: version 2, and a target in UTF-8.
fn verify_wsl_symlink(data: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let sound = data.len() > 4 && data.le32(0) == Some(2);
    level.require(sound, Rule::ReparseWslTarget, 0)?;
    let target = data
        .bytes(4, data.len().saturating_sub(4))
        .unwrap_or_default();
    level.require(!target.contains(&0), Rule::TargetNul, 4)
}

/// Verifies the target of a link, in UTF-16.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify_target(target: Cursor<'_>, level: Level) -> Result<(), Malformed> {
    let len = target.len();
    level.require(len > 0 && len & 1 == 0, Rule::TargetLength, len)?;
    let characters = target.bytes(0, len).unwrap_or_default();
    let has_nul = characters
        .chunks_exact(2)
        .any(|character| character == [0, 0]);
    level.require(!has_nul, Rule::TargetNul, 0)
}
