// SPDX-License-Identifier: GPL-2.0
//! What holds for every reply: its header, its size, and where its data stand (MS-SMB2 2.2.1, 2.2).
//!
//! These are the client's first checks, in `smb2_check_message`, as the newest kernel makes them.
//! Older ones let through a reply whose data begin in its fixed part, and one that is a byte short
//! with data.

use super::asked::Asked;
use super::cursor::Cursor;
use super::header::{self, Header};
use super::malformed::{Level, Malformed, Rule};

/// Where the reply's own `StructureSize` stands.
const SIZE: usize = header::LEN;
/// The `StructureSize` of an error (MS-SMB2 2.2.2).
const ERROR_SIZE: u16 = 9;
/// The `StructureSize` of lease break notifications, and of the answer to an acknowledged one
/// (MS-SMB2 2.2.23.2, 2.2.25.2).
const LEASE_BREAK_SIZES: [u16; 2] = [44, 36];

/// The farthest place and the greatest length of data that the client believes, in bytes. With
/// either exceeded it acts as if there were none.
const FARTHEST_DATA: usize = 4096;
const LONGEST_DATA: usize = 128 * 1024;

/// Verifies header, sizes and the place of the data of `message`, and gives its header.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn verify(message: Cursor<'_>, asked: Asked, level: Level) -> Result<Header, Malformed> {
    let short = Malformed {
        rule: Rule::HeaderShort,
        offset: message.len(),
    };
    let header = Header::read(message).ok_or(short)?;
    verify_header(header, asked, level)?;
    let Some(size) = message.le16(SIZE) else {
        // An error may come without a body.
        return if header.status == header::SUCCESS {
            Err(short)
        } else {
            Ok(header)
        };
    };
    level.require(has_right_size(header, size), Rule::ReplySize, SIZE)?;
    let fixed = header::LEN.saturating_add(size.into());
    let data = data_area(header, size, message).filter(|data| data.length > 0);
    verify_length(message, fixed, level)?;
    data.map_or(Ok(()), |data| {
        verify_data(message, fixed, header, data, asked, level)
    })?;
    Ok(header)
}

/// Verifies what the header says by itself.
fn verify_header(header: Header, asked: Asked, level: Level) -> Result<(), Malformed> {
    level.require(usize::from(header.size) == header::LEN, Rule::HeaderSize, 4)?;
    let notification = header.command == header::NOTIFICATION && asked.takes_notifications();
    level.require(
        header.command <= header::OPLOCK_BREAK || notification,
        Rule::HeaderCommand,
        12,
    )?;
    level.require(
        header.reply || header.command >= header::OPLOCK_BREAK,
        Rule::HeaderNotReply,
        16,
    )?;
    super::compound::verify_next(header, level)
}

/// Whether a reply to this command may have this `StructureSize`.
fn has_right_size(header: Header, size: u16) -> bool {
    if expected_size(header.command) == Some(size) {
        true
    } else if header.command == header::OPLOCK_BREAK {
        // With an error the client looks at no more than the size.
        header.status != header::SUCCESS || LEASE_BREAK_SIZES.contains(&size)
    } else {
        header.status != header::SUCCESS && size == ERROR_SIZE
    }
}

/// The `StructureSize` of a reply to `command`; `None` when there is no such command.
const fn expected_size(command: u16) -> Option<u16> {
    Some(match command {
        header::NEGOTIATE => 65,
        header::SESSION_SETUP
        | header::QUERY_DIRECTORY
        | header::CHANGE_NOTIFY
        | header::QUERY_INFO => 9,
        // LOGOFF, TREE_DISCONNECT, FLUSH, LOCK, ECHO.
        0x0002 | 0x0004 | 0x0007 | 0x000a | 0x000d => 4,
        header::TREE_CONNECT => 16,
        header::CREATE => 89,
        // CLOSE.
        0x0006 => 60,
        // WRITE beside READ.
        header::READ | 0x0009 => 17,
        header::IOCTL => 49,
        // CANCEL, which has no reply.
        0x000c => 0,
        // SET_INFO.
        0x0011 => 2,
        header::OPLOCK_BREAK => 24,
        header::NOTIFICATION => 4,
        _ => return None,
    })
}

/// Where a reply's data stand: the place of the field, offset and length, in bytes.
#[derive(Clone, Copy)]
struct Data {
    field: usize,
    offset: usize,
    length: usize,
}

/// The data of a reply with this `StructureSize`; `None` when it has no field for any, or ends
/// before them.
fn data_area(header: Header, size: u16, message: Cursor<'_>) -> Option<Data> {
    let error = !matches!(header.status, header::SUCCESS | header::MORE_PROCESSING);
    if error && size == ERROR_SIZE {
        return None;
    }
    let (field, offset, length) = match header.command {
        header::NEGOTIATE => (120, message.size16(120)?, message.size16(122)?),
        header::SESSION_SETUP => (68, message.size16(68)?, message.size16(70)?),
        header::CREATE => (144, message.size32(144)?, message.size32(148)?),
        header::READ => (66, message.byte(66)?.into(), message.size32(68)?),
        header::IOCTL => (96, message.size32(96)?, message.size32(100)?),
        header::QUERY_DIRECTORY | header::CHANGE_NOTIFY | header::QUERY_INFO => {
            (66, message.size16(66)?, message.size32(68)?)
        }
        _ => return None,
    };
    Some(Data {
        field,
        offset,
        length,
    })
}

/// Verifies that the fixed part, which ends at `fixed`, is all there.
fn verify_length(message: Cursor<'_>, fixed: usize, level: Level) -> Result<(), Malformed> {
    let len = message.len();
    // The last byte of an odd `StructureSize` stands for the data, and servers leave it out when
    // there are none; the client forgives the same of an even one.
    level.require(len >= fixed.saturating_sub(1), Rule::ReplyShort, len)?;
    level.require(len >= fixed || fixed % 2 == 1, Rule::ReplyByteShort, len)
}

/// Verifies that the data, of which there are some, are all there, and not in the fixed part.
fn verify_data(
    message: Cursor<'_>,
    fixed: usize,
    header: Header,
    data: Data,
    asked: Asked,
    level: Level,
) -> Result<(), Malformed> {
    let after_fixed = data.offset >= fixed.saturating_sub(1);
    let received = message.holds(data.offset, data.length);
    if data.offset == 0 || data.offset > FARTHEST_DATA || data.length > LONGEST_DATA {
        // What a large READ brings goes past these checks, off the connection to where it is
        // wanted. Of other replies the kernel's client never asks for so much.
        let wanted = header.command == header::READ || data.length <= asked.longest_output();
        let sound = wanted && after_fixed && received;
        return level.require(sound, Rule::ReplyDataIgnored, data.field);
    }
    level.require(after_fixed, Rule::ReplyDataInHeader, data.field)?;
    level.require(received, Rule::ReplyDataOutside, data.field)
}
