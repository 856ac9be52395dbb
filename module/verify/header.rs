// SPDX-License-Identifier: GPL-2.0
//! The SMB2 header (MS-SMB2 2.2.1), as far as it decides how a message is verified.

use super::cursor::Cursor;

/// Length of the header, in bytes; also the value of its `StructureSize`.
pub const LEN: usize = 64;

/// `Command` of NEGOTIATE (MS-SMB2 2.2.1.2), and so on below.
pub const NEGOTIATE: u16 = 0x0000;
/// SESSION_SETUP.
pub const SESSION_SETUP: u16 = 0x0001;
/// TREE_CONNECT.
pub const TREE_CONNECT: u16 = 0x0003;
/// CREATE.
pub const CREATE: u16 = 0x0005;
/// READ.
pub const READ: u16 = 0x0008;
/// IOCTL.
pub const IOCTL: u16 = 0x000b;
/// QUERY_DIRECTORY.
pub const QUERY_DIRECTORY: u16 = 0x000e;
/// CHANGE_NOTIFY.
pub const CHANGE_NOTIFY: u16 = 0x000f;
/// QUERY_INFO.
pub const QUERY_INFO: u16 = 0x0010;
/// OPLOCK_BREAK, which the server also sends unasked; the last command that the kernel's client
/// knows.
pub const OPLOCK_BREAK: u16 = 0x0012;
/// SERVER_TO_CLIENT_NOTIFICATION (MS-SMB2 2.2.44), which the server sends unasked to a client that
/// takes it.
pub const NOTIFICATION: u16 = 0x0013;

/// `Status` of a reply that reports success (MS-ERREF 2.3).
pub const SUCCESS: u32 = 0;
/// `STATUS_BUFFER_OVERFLOW`: the output is cut short, and what there is of it is given.
pub const BUFFER_OVERFLOW: u32 = 0x8000_0005;
/// `STATUS_STOPPED_ON_SYMLINK`: the path goes through a symbolic link, which is given.
pub const STOPPED_ON_SYMLINK: u32 = 0x8000_002d;
/// `STATUS_MORE_PROCESSING_REQUIRED`: a session is half set up.
pub const MORE_PROCESSING: u32 = 0xc000_0016;

/// `ProtocolId` of an SMB2 message that is neither encrypted nor compressed.
const PROTOCOL_ID: u32 = u32::from_le_bytes(*b"\xfeSMB");

/// `SMB2_FLAGS_SERVER_TO_REDIR`: the message is a reply.
const SERVER_TO_REDIR: u32 = 0x0000_0001;

/// What the header of an SMB2 message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its `StructureSize`.
    pub size: u16,
    /// Which command (MS-SMB2 2.2.1.2).
    pub command: u16,
    /// NTSTATUS of a reply (MS-ERREF 2.3); something else in a request.
    pub status: u32,
    /// Whether the message says that it is a reply.
    pub reply: bool,
    /// Where the next message of a compound begins, in bytes from this header; 0 in the last one.
    pub next: u32,
}

/// Whether `message` begins as an SMB2 message that is neither encrypted nor compressed.
#[must_use]
pub fn is_smb2(message: Cursor<'_>) -> bool {
    message.le32(0) == Some(PROTOCOL_ID)
}

impl Header {
    /// Reads the header at the start of `message`; `None` when it is shorter than one.
    #[must_use]
    pub fn read(message: Cursor<'_>) -> Option<Self> {
        let header = message.part(0, LEN)?;
        Some(Self {
            size: header.le16(4)?,
            status: header.le32(8)?,
            command: header.le16(12)?,
            reply: header.le32(16)? & SERVER_TO_REDIR != 0,
            next: header.le32(20)?,
        })
    }

    /// The name of the command as MS-SMB2 2.2.1.2 spells it; `OTHER` for a number it lacks.
    #[must_use]
    pub const fn command_name(&self) -> &'static str {
        match self.command {
            NEGOTIATE => "NEGOTIATE",
            SESSION_SETUP => "SESSION_SETUP",
            0x0002 => "LOGOFF",
            TREE_CONNECT => "TREE_CONNECT",
            0x0004 => "TREE_DISCONNECT",
            CREATE => "CREATE",
            0x0006 => "CLOSE",
            0x0007 => "FLUSH",
            READ => "READ",
            0x0009 => "WRITE",
            0x000a => "LOCK",
            IOCTL => "IOCTL",
            0x000c => "CANCEL",
            0x000d => "ECHO",
            QUERY_DIRECTORY => "QUERY_DIRECTORY",
            CHANGE_NOTIFY => "CHANGE_NOTIFY",
            QUERY_INFO => "QUERY_INFO",
            0x0011 => "SET_INFO",
            OPLOCK_BREAK => "OPLOCK_BREAK",
            NOTIFICATION => "NOTIFICATION",
            _ => "OTHER",
        }
    }
}
