// SPDX-License-Identifier: GPL-2.0
//! What a request asks for, as far as a rule for its reply hangs on it.

use verify::asked::Ciphers;
use verify::{Cursor, Header, Request, header};

/// Where fields stand in requests, from the SMB2 header on.
mod at {
    /// `DialectCount`, `Capabilities`, `NegotiateContextOffset`, `NegotiateContextCount` and
    /// `Dialects` of NEGOTIATE (MS-SMB2 2.2.3).
    pub(super) const DIALECT_COUNT: usize = 66;
    pub(super) const CAPABILITIES: usize = 72;
    pub(super) const CONTEXTS: usize = 92;
    pub(super) const CONTEXT_COUNT: usize = 96;
    pub(super) const DIALECTS: usize = 100;
    /// `SecurityBufferOffset` of SESSION_SETUP (2.2.5); the length follows it.
    pub(super) const BLOB: usize = 76;
    /// `FileInformationClass` and `OutputBufferLength` of QUERY_DIRECTORY (2.2.33).
    pub(super) const CLASS: usize = 66;
    pub(super) const DIRECTORY_MOST: usize = 92;
    /// `OutputBufferLength` of QUERY_INFO and CHANGE_NOTIFY (2.2.37, 2.2.35).
    pub(super) const MOST: usize = 68;
    /// `CtlCode`, `InputOffset` and `MaxOutputResponse` of IOCTL (2.2.31).
    pub(super) const CODE: usize = 68;
    pub(super) const INPUT: usize = 88;
    pub(super) const IOCTL_MOST: usize = 108;
}

/// CANCEL, which has no reply, and the `MessageId` of what it cancels.
const CANCEL: u16 = 0x000c;
/// The dialect with negotiate contexts.
const SMB311: u16 = 0x0311;
/// `SMB2_ENCRYPTION_CAPABILITIES`, and the length of a context's header, in bytes.
const ENCRYPTION: u16 = 2;
const CONTEXT_HEADER: usize = 8;
/// `SMB2_GLOBAL_CAP_NOTIFICATIONS`.
const NOTIFICATIONS: u32 = 0x80;
/// `FSCTL_DFS_GET_REFERRALS`.
const GET_REFERRALS: u32 = 0x0006_0194;

/// What a message of a client asks for; `None` when nothing answers it.
pub(crate) fn read(message: Cursor<'_>, header: Header) -> Option<Request> {
    let output = |field| message.le32(field).map(|most| Request::Output { most });
    let request = match header.command {
        CANCEL => return None,
        header::NEGOTIATE => offered(message).map(Request::Negotiate),
        header::SESSION_SETUP => Some(Request::SessionSetup { raw_ntlm: begins_with_ntlm(message) }),
        header::QUERY_DIRECTORY => directory(message),
        header::QUERY_INFO | header::CHANGE_NOTIFY => output(at::MOST),
        header::IOCTL => ioctl(message),
        _ => Some(Request::Other),
    };
    Some(request.unwrap_or(Request::Unknown))
}

/// Whether a NEGOTIATE says that notifications may come; `None` for another message.
pub(crate) fn takes_notifications(message: Cursor<'_>, header: Header) -> Option<bool> {
    let capabilities = message.le32(at::CAPABILITIES).filter(|_| header.command == header::NEGOTIATE);
    capabilities.map(|capabilities| capabilities & NOTIFICATIONS != 0)
}

/// The ciphers that a NEGOTIATE offers; `None` when they cannot be told.
fn offered(message: Cursor<'_>) -> Option<Ciphers> {
    let count = message.size16(at::DIALECT_COUNT)?;
    let dialects = message.bytes(at::DIALECTS, count.checked_mul(2)?)?;
    if !dialects.chunks_exact(2).any(|dialect| dialect == SMB311.to_le_bytes()) {
        return Some(Ciphers::none());
    }
    let mut place = message.size32(at::CONTEXTS)?;
    let mut ciphers = Ciphers::none();
    for _ in 0..message.le16(at::CONTEXT_COUNT)? {
        let context = message.after(place)?;
        let length = context.size16(2)?;
        let data = context.part(CONTEXT_HEADER, length)?;
        if context.le16(0)? == ENCRYPTION {
            ciphers =
                (0..data.size16(0)?).try_fold(ciphers, |set, nth| Some(set.with(data.le16(2 + 2 * nth)?)))?;
        }
        place = place.checked_add((CONTEXT_HEADER + length).next_multiple_of(8))?;
    }
    Some(ciphers)
}

/// Whether the security blob of a SESSION_SETUP is NTLM as it is, not wrapped in SPNEGO.
fn begins_with_ntlm(message: Cursor<'_>) -> bool {
    let offset = message.size16(at::BLOB).unwrap_or(0);
    message.bytes(offset, 8) == Some(b"NTLMSSP\0")
}

fn directory(message: Cursor<'_>) -> Option<Request> {
    Some(Request::Directory { class: message.byte(at::CLASS)?, most: message.le32(at::DIRECTORY_MOST)? })
}

fn ioctl(message: Cursor<'_>) -> Option<Request> {
    let most = message.le32(at::IOCTL_MOST)?;
    match message.le32(at::CODE)? {
        // `MaxReferralLevel` comes first (MS-DFSC 2.2.2).
        GET_REFERRALS => Some(Request::Referrals { level: message.le16(message.size32(at::INPUT)?)?, most }),
        _ => Some(Request::Output { most }),
    }
}
