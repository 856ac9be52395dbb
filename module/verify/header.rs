// SPDX-License-Identifier: GPL-2.0
//! The SMB2 header (MS-SMB2 2.2.1), as far as it decides whether a message is verified.

use super::cursor::Cursor;

/// Length of the header, in bytes; also the value of its `StructureSize`.
pub const LEN: usize = 64;

/// `Command` of CREATE (MS-SMB2 2.2.1.2).
pub const CREATE: u16 = 0x0005;

/// `Status` of a reply that reports success (MS-ERREF 2.3).
pub const SUCCESS: u32 = 0;

/// `ProtocolId` of an SMB2 message that is neither encrypted nor compressed.
const PROTOCOL_ID: u32 = u32::from_le_bytes(*b"\xfeSMB");

/// `SMB2_FLAGS_SERVER_TO_REDIR`: the message is a reply.
const SERVER_TO_REDIR: u32 = 0x0000_0001;

/// What the header of an SMB2 message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which command (MS-SMB2 2.2.1.2).
    pub command: u16,
    /// NTSTATUS of a reply (MS-ERREF 2.3); something else in a request.
    pub status: u32,
    /// Whether the message says that it is a reply.
    pub reply: bool,
}

impl Header {
    /// Reads the header at the start of `message`.
    ///
    /// `None`: shorter than a header, another protocol, or a header of another size. The client
    /// turns all of these away by itself before it parses anything.
    #[must_use]
    pub fn read(message: Cursor<'_>) -> Option<Self> {
        let header = Cursor::new(message.bytes(0, LEN)?);
        if header.le32(0)? != PROTOCOL_ID || usize::from(header.le16(4)?) != LEN {
            return None;
        }
        Some(Self {
            status: header.le32(8)?,
            command: header.le16(12)?,
            reply: header.le32(16)? & SERVER_TO_REDIR != 0,
        })
    }

    /// Whether this is a reply to `command`.
    #[must_use]
    pub const fn is_reply_to(&self, command: u16) -> bool {
        self.reply && self.command == command
    }

    /// The name of the command as MS-SMB2 2.2.1.2 spells it; `OTHER` for a number it lacks.
    #[must_use]
    pub const fn command_name(&self) -> &'static str {
        match self.command {
            0x0000 => "NEGOTIATE",
            0x0001 => "SESSION_SETUP",
            0x0002 => "LOGOFF",
            0x0003 => "TREE_CONNECT",
            0x0004 => "TREE_DISCONNECT",
            CREATE => "CREATE",
            0x0006 => "CLOSE",
            0x0007 => "FLUSH",
            0x0008 => "READ",
            0x0009 => "WRITE",
            0x000a => "LOCK",
            0x000b => "IOCTL",
            0x000c => "CANCEL",
            0x000d => "ECHO",
            0x000e => "QUERY_DIRECTORY",
            0x000f => "CHANGE_NOTIFY",
            0x0010 => "QUERY_INFO",
            0x0011 => "SET_INFO",
            0x0012 => "OPLOCK_BREAK",
            _ => "OTHER",
        }
    }
}
