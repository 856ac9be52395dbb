// SPDX-License-Identifier: GPL-2.0
//! Writes messages byte by byte, in the order in which the specification lists their fields.
#![allow(dead_code, unreachable_pub)]

/// Bytes that grow at their end.
#[derive(Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An SMB2 reply's header (MS-SMB2 2.2.1.2).
    pub fn reply(command: u16, status: u32) -> Self {
        let flags = 1; // a reply
        let header = Self::new().text(b"\xfeSMB").le16(64).le16(0).le32(status).le16(command).le16(1);
        header.le32(flags).le32(0).zeros(40)
    }

    /// A reply of the shape that QUERY_INFO, QUERY_DIRECTORY and CHANGE_NOTIFY have in common.
    pub fn output(command: u16, output: &[u8]) -> Self {
        Self::reply(command, 0).le16(9).le16(72).le32(output.len() as u32).text(output)
    }

    /// An IOCTL reply (MS-SMB2 2.2.32).
    pub fn ioctl(code: u32, output: &[u8]) -> Self {
        let reply = Self::reply(0x0b, 0).le16(49).le16(0).le32(code).zeros(16).le32(112).le32(0);
        reply.le32(112).le32(output.len() as u32).le32(0).le32(0).text(output)
    }

    pub fn byte(self, value: u8) -> Self {
        self.text(&[value])
    }

    pub fn le16(self, value: u16) -> Self {
        self.text(&value.to_le_bytes())
    }

    pub fn le32(self, value: u32) -> Self {
        self.text(&value.to_le_bytes())
    }

    pub fn le64(self, value: u64) -> Self {
        self.text(&value.to_le_bytes())
    }

    pub fn zeros(self, count: usize) -> Self {
        self.text(&vec![0; count])
    }

    pub fn text(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Text in UTF-16.
    pub fn utf16(self, text: &str) -> Self {
        text.encode_utf16().fold(self, Self::le16)
    }

    /// The same with other bytes at `at`.
    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn with16(self, at: usize, value: u16) -> Self {
        self.with(at, &value.to_le_bytes())
    }

    pub fn with32(self, at: usize, value: u32) -> Self {
        self.with(at, &value.to_le_bytes())
    }

    /// The first `len` bytes.
    pub fn cut(mut self, len: usize) -> Self {
        assert!(len <= self.0.len());
        self.0.truncate(len);
        self
    }
}

/// A SID with these parts (MS-DTYP 2.4.2.2).
pub fn sid(parts: &[u32]) -> Vec<u8> {
    let head = Bytes::new().byte(1).byte(parts.len() as u8).text(&[0, 0, 0, 0, 0, 5]);
    parts.iter().fold(head, |sid, part| sid.le32(*part)).0
}

/// An extended attribute (MS-FSCC 2.4.15).
pub fn attribute(next: u32, name: &str, value: &[u8]) -> Vec<u8> {
    let head = Bytes::new().le32(next).byte(0).byte(name.len() as u8).le16(value.len() as u16);
    head.text(name.as_bytes()).byte(0).text(value).0
}

/// The four attributes of WSL, the last two without values.
pub fn wsl_attributes() -> Vec<u8> {
    let mut list = Bytes::new();
    for (next, name, value) in
        [(20, "$LXUID", &[1u8, 0, 0, 0][..]), (20, "$LXGID", &[2, 0, 0, 0]), (16, "$LXMOD", &[])]
    {
        let start = list.0.len();
        list = list.text(&attribute(next, name, value));
        let gap = start + next as usize - list.0.len();
        list = list.zeros(gap);
    }
    list.text(&attribute(0, "$LXDEV", &[])).0
}

/// A symbolic link in an error (MS-SMB2 2.2.2.2.1) that leads to `target`.
pub fn link(target: &[u8]) -> Bytes {
    let len = target.len() as u16;
    let head = Bytes::new().le32(24 + u32::from(len)).text(b"SYML").le32(0xa000_000c).le16(12 + len).le16(0);
    head.le16(0).le16(len).le16(0).le16(len).le32(0).text(target)
}

/// An error that stops on a symbolic link, with these error contexts or that bare data.
pub fn stopped(contexts: u8, data: &[u8]) -> Bytes {
    let head = Bytes::reply(5, 0x8000_002d).le16(9).byte(contexts).byte(0);
    head.le32(data.len() as u32).text(data)
}

/// An error context (MS-SMB2 2.2.2.1).
pub fn error_context(id: u32, data: &[u8]) -> Vec<u8> {
    Bytes::new().le32(data.len() as u32).le32(id).text(data).0
}

/// A negotiate context (MS-SMB2 2.2.4.1), filled up to a multiple of 8.
pub fn negotiate_context(kind: u16, data: &[u8]) -> Vec<u8> {
    let context = Bytes::new().le16(kind).le16(data.len() as u16).le32(0).text(data);
    let gap = context.0.len().next_multiple_of(8) - context.0.len();
    context.zeros(gap).0
}

/// A NEGOTIATE reply for dialect 3.1.1 with a security blob of 8 bytes and these contexts.
pub fn negotiate(count: u16, contexts: &[u8]) -> Bytes {
    let head = Bytes::reply(0, 0).le16(65).le16(1).le16(0x311).le16(count).zeros(48);
    head.le16(128).le16(8).le32(136).zeros(8).text(contexts)
}

/// A SESSION_SETUP reply that asks for more, with this security blob.
pub fn session_setup(blob: &[u8]) -> Bytes {
    Bytes::reply(1, 0xc000_0016).le16(9).le16(0).le16(72).le16(blob.len() as u16).text(blob)
}

/// A TREE_CONNECT reply for a share of this type (MS-SMB2 2.2.10).
pub fn tree_connect(share_type: u8) -> Bytes {
    Bytes::reply(3, 0).le16(16).byte(share_type).byte(0).zeros(12)
}

/// An NTLM challenge (MS-NLMP 2.2.1.2) with this target information.
pub fn challenge(target: &[u8]) -> Bytes {
    let len = target.len() as u16;
    let head = Bytes::new().text(b"NTLMSSP\0").le32(2).le16(0).le16(0).le32(56).le32(0x0008_0201);
    head.zeros(16).le16(len).le16(len).le32(56).zeros(8).text(target)
}

/// A READ reply with these data (MS-SMB2 2.2.20).
pub fn read(data: &[u8]) -> Bytes {
    Bytes::reply(8, 0).le16(17).byte(80).byte(0).le32(data.len() as u32).le32(0).le32(0).text(data)
}

/// An entry of a directory of the kind `FileDirectoryInformation` (MS-FSCC 2.4.10).
pub fn entry(next: u32, name: &str) -> Vec<u8> {
    Bytes::new().le32(next).zeros(56).le32(2 * name.len() as u32).utf16(name).0
}

/// An entry of a directory of the POSIX extensions.
pub fn posix_entry(next: u32, name: &str) -> Vec<u8> {
    let head = Bytes::new().le32(next).zeros(84).text(&sid(&[22, 1])).text(&sid(&[22, 2]));
    head.le32(2 * name.len() as u32).utf16(name).0
}

/// A security descriptor with owner, group, and an access list of two entries (MS-DTYP 2.4.6).
pub fn descriptor() -> Bytes {
    let one = Bytes::new().le16(0).le16(20).le32(0x1f01ff).text(&sid(&[18])).0;
    let two = Bytes::new().le16(0).le16(24).le32(0x1200a9).text(&sid(&[32, 544])).0;
    let head = Bytes::new().byte(1).byte(0).le16(0x8004).le32(20).le32(36).le32(0).le32(48);
    let head = head.text(&sid(&[32, 544])).text(&sid(&[18]));
    head.byte(2).byte(0).le16(52).le16(2).le16(0).text(&one).text(&two)
}

/// A network interface (MS-SMB2 2.2.32.5).
pub fn interface(next: u32) -> Vec<u8> {
    let head = Bytes::new().le32(next).le32(7).le32(1).le32(0).le64(10_000_000_000);
    head.le16(2).le16(445).text(&[10, 0, 2, 2]).zeros(120).0
}

/// Two DFS referrals of version 3 (MS-DFSC 2.2.4, 2.2.5.3) for the path `\a\b`.
pub fn referrals() -> Bytes {
    let mut list = Bytes::new().le16(8).le16(2).le32(3);
    for strings in [68u16, 34] {
        list = list.le16(3).le16(34).le16(0).le16(0).le32(300);
        list = list.le16(strings).le16(strings).le16(strings + 10).zeros(16);
    }
    list.utf16("\\a\\b\0").utf16("\\srv\\x\0")
}

/// A reparse point (MS-FSCC 2.1.2.2).
pub fn reparse(tag: u32, data: &[u8]) -> Bytes {
    Bytes::new().le32(tag).le16(data.len() as u16).le16(0).text(data)
}

/// The data of a symbolic link's reparse point (MS-FSCC 2.1.2.4).
pub fn symlink_point(target: &str) -> Bytes {
    let len = 2 * target.len() as u16;
    let data = Bytes::new().le16(0).le16(len).le16(0).le16(len).le32(0).utf16(target).0;
    reparse(0xa000_000c, &data)
}

/// The data of an NFS reparse point (MS-FSCC 2.1.2.6).
pub fn nfs_point(kind: u64, data: &[u8]) -> Bytes {
    reparse(0x8000_0014, &Bytes::new().le64(kind).text(data).0)
}
