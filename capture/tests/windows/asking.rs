// SPDX-License-Identifier: GPL-2.0
//! Requests, as Windows sends them.

use crate::bytes::Bytes;

/// Whatever `MessageId` the request of a row has; its reply has the same.
pub(crate) const ID: u32 = 7;

/// `FSCTL_DFS_GET_REFERRALS`.
pub(crate) const GET_REFERRALS: u32 = 0x0006_0194;

/// A request's header (MS-SMB2 2.2.1.2).
fn header(command: u16, id: u32) -> Bytes {
    Bytes::reply(command, 0).with32(16, 0).with32(24, id)
}

/// One of which no more than its command matters.
pub(crate) fn plain(command: u16) -> Bytes {
    header(command, ID).le16(4).le16(0)
}

/// NEGOTIATE of this one dialect; with 3.1.1, with these ciphers (MS-SMB2 2.2.3).
pub(crate) fn negotiate(dialect: u16, capabilities: u32, ciphers: &[u16]) -> Bytes {
    let has_contexts = dialect == 0x311;
    let head = header(0, 0).le16(36).le16(1).le16(1).le16(0).le32(capabilities).zeros(16);
    if !has_contexts {
        return head.zeros(8).le16(dialect);
    }
    let head = head.le32(104).le16(2).le16(0).le16(dialect).zeros(2);
    let hash = Bytes::new().le16(1).le16(38).le32(0).le16(1).le16(32).le16(1).zeros(32).zeros(2);
    let count = u16::try_from(ciphers.len()).unwrap();
    let cipher = Bytes::new().le16(2).le16(2 + 2 * count).le32(0).le16(count);
    head.text(&hash.0).text(&ciphers.iter().fold(cipher, |context, cipher| context.le16(*cipher)).0)
}

/// SESSION_SETUP with this security blob (MS-SMB2 2.2.5).
pub(crate) fn session_setup(blob: &[u8]) -> Bytes {
    let head = header(1, ID).le16(25).zeros(10).le16(88).le16(u16::try_from(blob.len()).unwrap());
    head.zeros(8).text(blob)
}

/// QUERY_DIRECTORY of this class, for all names (MS-SMB2 2.2.33).
pub(crate) fn directory(class: u8, most: u32) -> Bytes {
    header(0x0e, ID).le16(33).byte(class).byte(0).le32(0).zeros(16).le16(96).le16(2).le32(most).utf16("*")
}

/// QUERY_INFO of this kind and class (MS-SMB2 2.2.37).
pub(crate) fn info(kind: u8, class: u8, most: u32) -> Bytes {
    header(0x10, ID).le16(41).byte(kind).byte(class).le32(most).zeros(32)
}

/// CHANGE_NOTIFY (MS-SMB2 2.2.35).
pub(crate) fn notify(most: u32) -> Bytes {
    header(0x0f, ID).le16(32).le16(0).le32(most).zeros(24)
}

/// IOCTL with this input (MS-SMB2 2.2.31).
pub(crate) fn ioctl(code: u32, input: &[u8]) -> Bytes {
    let length = u32::try_from(input.len()).unwrap();
    let head = header(0x0b, ID).le16(57).le16(0).le32(code).text(&[0xff; 16]).le32(120).le32(length);
    head.le32(0).le32(0).le32(0).le32(1 << 16).le32(1).le32(0).text(input)
}

/// For referrals of up to this version for a path (MS-DFSC 2.2.2).
pub(crate) fn referrals(level: u16, path: &str) -> Bytes {
    ioctl(GET_REFERRALS, &Bytes::new().le16(level).utf16(path).le16(0).0)
}
