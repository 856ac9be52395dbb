// SPDX-License-Identifier: GPL-2.0
//! Replies, as Windows sends them: each honest, and at the edge of the rules that it names.

use std::ops::RangeInclusive;

use verify::Rule;
use verify::Rule as R;

use crate::asking::{self, GET_REFERRALS, ID};
use crate::bytes::{Bytes, challenge, error_context, interface, link, negotiate_context, reparse, sid};

/// Dialects, first and last.
type Dialects = RangeInclusive<u16>;
const EVERY: Dialects = 0x202..=0x311;
const LEASES: Dialects = 0x210..=0x2ff;
const SMB3: Dialects = 0x300..=0x311;
const BEFORE_311: Dialects = 0x202..=0x302;
const SMB311: Dialects = 0x311..=0x311;

/// What is asked, and an honest answer.
pub(crate) struct Row {
    /// What it is.
    pub(crate) what: &'static str,
    /// The rules that a byte more or less of it would break, or that asked too much before.
    pub(crate) edges: &'static [Rule],
    /// Those it is sent in.
    pub(crate) dialects: Dialects,
    /// The request; none for what comes unasked, or is a NEGOTIATE of its own.
    pub(crate) asked: Option<Vec<u8>>,
    /// The reply, or a compound.
    pub(crate) answer: Vec<u8>,
    /// Whether Linux's client would take it.
    pub(crate) linux: bool,
}

impl Row {
    /// One that Linux's client does not take, or never asks for.
    fn not_linux(self) -> Self {
        Self { linux: false, ..self }
    }
}

fn row(what: &'static str, edges: &'static [Rule], dialects: Dialects, asked: Bytes, answer: Bytes) -> Row {
    let answer = answer.with32(24, ID).0;
    Row { what, edges, dialects, asked: Some(asked.0), answer, linux: true }
}

/// What the server sends unasked.
fn unasked(what: &'static str, edges: &'static [Rule], dialects: Dialects, answer: Bytes) -> Row {
    let answer = answer.with(24, &[0xff; 8]).0;
    Row { what, edges, dialects, asked: None, answer, linux: true }
}

/// Commands (MS-SMB2 2.2.1.2).
const SESSION_SETUP: u16 = 1;
const TREE_CONNECT: u16 = 3;
const CREATE: u16 = 5;
const READ: u16 = 8;

/// Statuses (MS-ERREF 2.3).
const SUCCESS: u32 = 0;
const PENDING: u32 = 0x0000_0103;
const NOTIFY_CLEANUP: u32 = 0x0000_010b;
const NOTIFY_ENUM_DIR: u32 = 0x0000_010c;
const BUFFER_OVERFLOW: u32 = 0x8000_0005;
const NO_MORE_FILES: u32 = 0x8000_0006;
const INVALID_PARAMETER: u32 = 0xc000_000d;
const END_OF_FILE: u32 = 0xc000_0011;
const BUFFER_TOO_SMALL: u32 = 0xc000_0023;
const LOGON_FAILURE: u32 = 0xc000_006d;
const BAD_NETWORK_NAME: u32 = 0xc000_00cc;
const NOT_FOUND: u32 = 0xc000_0225;

/// A token of SPNEGO that offers NTLM (RFC 4178 4.2.1), as Windows hints in NEGOTIATE.
const HINT: &[u8] = b"\x60\x1c\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x12\x30\x10\xa0\x0e\
    \x30\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
/// One that asks for more, and one that ends (4.2.2).
const INCOMPLETE: &[u8] = b"\xa1\x07\x30\x05\xa0\x03\x0a\x01\x01";
const COMPLETED: &[u8] = b"\xa1\x07\x30\x05\xa0\x03\x0a\x01\x00";
/// How raw NTLM begins (MS-NLMP 2.2.1.1).
const NTLM: &[u8] = b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2";

/// An error with this data; with none there is a byte that stands for it (MS-SMB2 2.2.2).
fn error(command: u16, status: u32, contexts: u8, data: &[u8]) -> Bytes {
    let length = u32::try_from(data.len()).unwrap();
    let data = if data.is_empty() { &[0] } else { data };
    Bytes::reply(command, status).le16(9).byte(contexts).byte(0).le32(length).text(data)
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    [
        negotiated(),
        ciphers(),
        sessions(),
        trees(),
        files(),
        links(),
        reads(),
        directories(),
        information(),
        notices(),
        controls(),
        reparse_points(),
        referrals(),
        domains(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A NEGOTIATE reply in `dialect` with the hint and these contexts (MS-SMB2 2.2.4).
pub(crate) fn negotiate(dialect: u16, contexts: &[Vec<u8>]) -> Bytes {
    let blob = u16::try_from(HINT.len()).unwrap();
    let count = u16::try_from(contexts.len()).unwrap();
    let head = Bytes::reply(0, SUCCESS).le16(65).le16(1).le16(dialect).le16(count).text(b"a server's GUID.");
    let head = head.le32(0x2f).le32(1 << 23).le32(1 << 23).le32(1 << 23).zeros(16).le16(128).le16(blob);
    if contexts.is_empty() {
        // Reserved: Windows leaves in it what it likes (2.2.4, NegotiateContextOffset/Reserved2).
        return head.text(b"\x4e\x54\x4c\x4d").text(HINT);
    }
    let at = (128 + HINT.len()).next_multiple_of(8);
    let head = head.le32(u32::try_from(at).unwrap()).text(HINT).zeros(at - 128 - HINT.len());
    head.text(&contexts.concat())
}

/// A negotiate context without what fills it up, as the last one is.
fn last(context: Vec<u8>, data: usize) -> Vec<u8> {
    context[..8 + data].to_vec()
}

/// The context of the hash, SHA-512 with a salt of 32 bytes (MS-SMB2 2.2.4.1.1).
fn hash() -> Vec<u8> {
    negotiate_context(1, &Bytes::new().le16(1).le16(32).le16(1).zeros(32).0)
}

/// The context of one cipher (2.2.4.1.2).
fn cipher(cipher: u16) -> Vec<u8> {
    negotiate_context(2, &Bytes::new().le16(1).le16(cipher).0)
}

fn negotiated() -> Vec<Row> {
    // Chained: a pattern, LZ77, LZ77 with Huffman, LZNT1 (2.2.4.1.3).
    let compression = Bytes::new().le16(4).le16(0).le32(1).le16(4).le16(2).le16(3).le16(1).0;
    let one = Bytes::new().le16(1).le16(0).le32(0).le16(0).0;
    let rdma = Bytes::new().le16(2).le16(0).le32(0).le16(1).le16(2).0;
    let signing = Bytes::new().le16(1).le16(2).0;
    let all = [
        hash(),
        cipher(2),
        negotiate_context(3, &compression),
        negotiate_context(7, &rdma),
        negotiate_context(6, &Bytes::new().le32(1).0),
        last(negotiate_context(8, &signing), 4),
    ];
    let asked = || asking::negotiate(0x311, 0x7f, &[2, 1]);
    let own = |row: Row| Row { answer: Bytes(row.answer).with32(24, 0).0, ..row };
    vec![
        own(row(
            "NEGOTIATE with every context",
            &[
                R::NegotiateContextsOutside,
                R::NegotiateContextOutside,
                R::NegotiateCipherShort,
                R::NegotiateCipherCount,
                R::NegotiateHashShort,
                R::NegotiateSigningShort,
                R::ReplyDataInHeader,
            ],
            SMB311,
            asked(),
            negotiate(0x311, &all),
        )),
        own(row(
            "NEGOTIATE without a compression in common",
            &[R::NegotiateCompressionShort],
            SMB311,
            asked(),
            negotiate(0x311, &[hash(), last(negotiate_context(3, &one), 10)]),
        )),
        own(row(
            "NEGOTIATE without a cipher in common",
            &[R::NegotiateCipherUnknown],
            SMB311,
            asked(),
            negotiate(0x311, &[hash(), last(cipher(0), 4)]),
        )),
        own(row(
            "NEGOTIATE that answers SMB1's, of any dialect from 2.1 on",
            &[R::ReplyDataOutside],
            BEFORE_311,
            Bytes::new(),
            negotiate(0x2ff, &[]),
        )),
    ]
}

/// AES-256 with CCM, which Linux's client never offers; and what it offers alone if it is told to.
fn ciphers() -> Vec<Row> {
    let chosen = |what, offered: &[u16], chosen| {
        let asked = asking::negotiate(0x311, 0x7f, offered);
        let answer = negotiate(0x311, &[hash(), last(cipher(chosen), 4)]);
        let row = row(what, &[R::NegotiateCipherUnknown], SMB311, asked, answer);
        Row { answer: Bytes(row.answer).with32(24, 0).0, ..row }
    };
    vec![
        chosen("AES-256-CCM, the only one offered", &[3], 3).not_linux(),
        chosen("AES-256-CCM, of all four", &[2, 1, 4, 3], 3).not_linux(),
        chosen("AES-256-GCM, the only one offered", &[4], 4),
    ]
}

/// A SESSION_SETUP reply with this security blob (MS-SMB2 2.2.6).
fn session(status: u32, blob: &[u8]) -> Bytes {
    let length = u16::try_from(blob.len()).unwrap();
    Bytes::reply(SESSION_SETUP, status).le16(9).le16(0).le16(72).le16(length).text(blob)
}

fn sessions() -> Vec<Row> {
    const MORE: u32 = 0xc000_0016;
    let spnego = || asking::session_setup(HINT);
    let raw = || asking::session_setup(NTLM);
    // The names of domain and computer, and an end of the list (MS-NLMP 2.2.2.1).
    let target = Bytes::new().le16(2).le16(2).utf16("D").le16(1).le16(2).utf16("C").le32(0).0;
    let flagged = |challenge: Bytes| challenge.with32(20, 0xe289_8215).0;
    // No version, no target information, and no place for it: flags without them.
    let bare = Bytes::new().text(b"NTLMSSP\0").le32(2).le32(0).le32(32).le32(0x0000_8201).zeros(8).0;
    let moved = session(MORE, &[&[0; 8], &flagged(challenge(&target))[..]].concat());
    let length = u16::try_from(flagged(challenge(&target)).len()).unwrap();
    vec![
        row(
            "a challenge in SPNEGO",
            &[R::SessionSetupShort, R::ChallengeSignature, R::ChallengeShort],
            EVERY,
            spnego(),
            session(MORE, INCOMPLETE),
        ),
        row(
            "a raw challenge whose target information ends it",
            &[R::ChallengeTargetOutside, R::SessionSetupBlobOffset, R::ChallengeSignature],
            EVERY,
            raw(),
            session(MORE, &flagged(challenge(&target))),
        ),
        row(
            "a raw challenge that ends with its version",
            &[R::ChallengeTargetOutside],
            EVERY,
            raw(),
            session(MORE, &challenge(b"").0),
        ),
        row("a raw challenge without target", &[R::ChallengeShort], EVERY, raw(), session(MORE, &bare))
            .not_linux(),
        row(
            "a raw challenge after some room",
            &[R::SessionSetupBlobOffset],
            EVERY,
            raw(),
            moved.with16(68, 80).with16(70, length),
        )
        .not_linux(),
        row("a session", &[R::ReplyDataOutside], EVERY, spnego(), session(SUCCESS, COMPLETED)),
        row("a session without a blob", &[R::ReplyShort], EVERY, raw(), session(SUCCESS, &[])),
        row("no session", &[R::ReplySize], EVERY, raw(), error(SESSION_SETUP, LOGON_FAILURE, 0, &[])),
        row(
            "a reply to LOGOFF",
            &[R::HeaderShort, R::HeaderSize, R::ReplyByteShort],
            EVERY,
            asking::plain(2),
            Bytes::reply(2, SUCCESS).le16(4).le16(0),
        ),
    ]
}

fn trees() -> Vec<Row> {
    let tree = |kind| {
        Bytes::reply(TREE_CONNECT, SUCCESS).le16(16).byte(kind).byte(0).le32(0).le32(0x100).le32(0x1f_01ff)
    };
    let asked = || asking::plain(TREE_CONNECT);
    // A share that is elsewhere (MS-SMB2 2.2.2.2.2).
    let redirect = Bytes::new().le32(40 + 4).le32(3).le32(40).le32(4).le16(0).le16(0).le32(1);
    let redirect = redirect.le32(1).le32(0).zeros(10).text(&[0xff, 0xff, 10, 0, 0, 9]).utf16("\\s").0;
    let context = error_context(0x7264_5253, &redirect);
    vec![
        row("a disk", &[R::TreeConnectShareType], EVERY, asked(), tree(1)),
        row("a pipe", &[R::TreeConnectShareType], EVERY, asked(), tree(2)),
        row("a printer", &[R::TreeConnectShareType], EVERY, asked(), tree(3)),
        row("no share", &[R::ReplySize], EVERY, asked(), error(TREE_CONNECT, BAD_NETWORK_NAME, 0, &[])),
        row(
            "a share elsewhere",
            &[R::ReplySize],
            SMB311,
            asked(),
            error(TREE_CONNECT, BAD_NETWORK_NAME, 1, &context),
        ),
    ]
}

/// A create context (MS-SMB2 2.2.13.2): name at 16, data at 24, filled up to 8 but for the last.
fn context(name: &[u8; 4], data: &[u8], more: bool) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let place = if data.is_empty() { 0 } else { 24 };
    let next = if more { (24 + length).next_multiple_of(8) } else { 0 };
    let whole = Bytes::new().le32(next).le16(16).le16(4).le16(0).le16(place).le32(length).text(name);
    let whole = if data.is_empty() { whole } else { whole.le32(0).text(data) };
    let gap = (next as usize).saturating_sub(whole.0.len());
    whole.zeros(gap).0
}

/// A CREATE reply with these contexts (MS-SMB2 2.2.14).
fn created(contexts: &[u8]) -> Bytes {
    let length = u32::try_from(contexts.len()).unwrap();
    let place = if contexts.is_empty() { 0 } else { 152 };
    let head = Bytes::reply(CREATE, SUCCESS).le16(89).byte(0xff).byte(0).le32(1).zeros(32);
    head.zeros(16).le32(0x20).le32(0).zeros(16).le32(place).le32(length).text(contexts)
}

fn files() -> Vec<Row> {
    let asked = || asking::plain(CREATE);
    let access = Bytes::new().le32(0).le32(0x1f_01ff).0;
    let handle = Bytes::new().le32(60_000).le32(0).0;
    let with = |lease: usize| {
        [
            context(b"MxAc", &access, true),
            context(b"QFid", &[1; 32], true),
            context(b"DH2Q", &handle, true),
            context(b"RqLs", &vec![3; lease], false),
        ]
        .concat()
    };
    let durable = [context(b"DHnQ", &[0; 8], true), context(b"RqLs", &[3; 32], false)].concat();
    const CONTEXTS: &[Rule] = &[
        R::CreateContextsOutside,
        R::CreateNextMisaligned,
        R::CreateNextOutside,
        R::CreateNextInHeader,
        R::CreateDataOutside,
        R::CreateNameInHeader,
        R::CreateNameOutside,
        R::CreateNameOverData,
        R::CreateTrailing,
        R::CreateLeaseSize,
        R::CreateDiskIdSize,
        R::CreateAccessSize,
        R::CreateDurableSize,
    ];
    let data_first = Bytes::new().le32(0).le16(24).le16(4).le16(0).le16(16).le32(8).zeros(8).text(b"Xyzw").0;
    vec![
        row("a file", &[R::CreateShort, R::ReplyShort], EVERY, asked(), created(&[])),
        row("a file with a lease of version 1", CONTEXTS, LEASES, asked(), created(&durable)),
        row("a file with all contexts", CONTEXTS, SMB3, asked(), created(&with(52))),
        row(
            "a file with a context without data",
            &[R::CreateDataInHeader],
            EVERY,
            asked(),
            created(&[context(b"Xyzw", &[], true), context(b"QFid", &[1; 32], false)].concat()),
        )
        .not_linux(),
        row(
            "a context with its data before its name",
            &[R::CreateNameOverData],
            EVERY,
            asked(),
            created(&data_first),
        )
        .not_linux(),
        row(
            "no contexts, and a place for them behind the reply",
            &[R::CreateContextsOutside],
            EVERY,
            asked(),
            created(&[]).with32(144, 160),
        )
        .not_linux(),
        compound(),
    ]
}

/// CREATE, QUERY_INFO and CLOSE in one, each filled up to 8 bytes.
fn compound() -> Row {
    let parts = [created(&[]), Bytes::output(0x10, &[0; 24]), Bytes::reply(6, SUCCESS).le16(60).zeros(58)];
    let last = parts.len() - 1;
    let mut all = Vec::new();
    for (nth, part) in parts.into_iter().enumerate() {
        let length = part.0.len().next_multiple_of(8);
        let gap = length - part.0.len();
        let part = part.zeros(gap).with32(24, ID + u32::try_from(nth).unwrap());
        let next = if nth == last { 0 } else { u32::try_from(length).unwrap() };
        all.extend(part.with32(20, next).0);
    }
    let edges = &[R::CompoundNextInHeader, R::CompoundNextMisaligned];
    row("a compound", edges, EVERY, asking::plain(CREATE), Bytes(all))
}

fn links() -> Vec<Row> {
    const STOPPED: u32 = 0x8000_002d;
    let asked = || asking::plain(CREATE);
    let name = Bytes::new().utf16("to").0;
    let unprinted = link(&name).with16(20, u16::try_from(name.len()).unwrap() + 9).with16(22, 0).0;
    vec![
        row(
            "a symbolic link",
            &[
                R::SymlinkShort,
                R::SymlinkTag,
                R::SymlinkTargetOutside,
                R::SymlinkPrintOutside,
                R::SymlinkMissing,
            ],
            BEFORE_311,
            asked(),
            error(CREATE, STOPPED, 0, &link(&name).0),
        ),
        row(
            "a symbolic link in a context",
            &[R::SymlinkShort, R::SymlinkContextOutside, R::SymlinkNoContext],
            SMB311,
            asked(),
            error(CREATE, STOPPED, 1, &error_context(0, &link(&name).0)),
        ),
        row(
            "a symbolic link with nothing to print, which stands nowhere",
            &[R::SymlinkPrintOutside],
            BEFORE_311,
            asked(),
            error(CREATE, STOPPED, 0, &unprinted),
        )
        .not_linux(),
    ]
}

/// A READ reply (MS-SMB2 2.2.20).
fn read(status: u32, data: &[u8]) -> Bytes {
    let length = u32::try_from(data.len()).unwrap();
    Bytes::reply(READ, status).le16(17).byte(80).byte(0).le32(length).le32(0).le32(0).text(data)
}

fn reads() -> Vec<Row> {
    let asked = || asking::plain(READ);
    vec![
        row("one byte", &[R::ReplyDataInHeader, R::ReplyDataOutside], EVERY, asked(), read(SUCCESS, b"1")),
        row("a large READ", &[R::ReplyDataIgnored], EVERY, asked(), read(SUCCESS, &vec![7; 1 << 20])),
        row("no more to read", &[R::ReplySize], EVERY, asked(), error(READ, END_OF_FILE, 0, &[])),
        row("the beginning of a message", &[R::ReplySize], EVERY, asked(), read(BUFFER_OVERFLOW, b"part")),
        row(
            "a WRITE",
            &[R::ReplyShort],
            EVERY,
            asking::plain(9),
            Bytes::reply(9, SUCCESS).le16(17).zeros(14),
        ),
        row(
            "a LOCK",
            &[R::ReplyByteShort],
            EVERY,
            asking::plain(10),
            Bytes::reply(10, SUCCESS).le16(4).le16(0),
        ),
        row("a SET_INFO", &[R::ReplyByteShort], EVERY, asking::plain(17), Bytes::reply(17, SUCCESS).le16(2)),
        row(
            "an ECHO",
            &[R::ReplyByteShort],
            EVERY,
            asking::plain(13),
            Bytes::reply(13, SUCCESS).le16(4).le16(0),
        ),
    ]
}

/// Entries of a directory with this much before each name, each filled up to 8 but the last.
fn entries(fixed: usize, names: &[&str]) -> Vec<u8> {
    let mut list = Vec::new();
    for (nth, name) in names.iter().enumerate() {
        let name = Bytes::new().utf16(name).0;
        let length = fixed + name.len();
        let more = nth + 1 < names.len();
        let next = if more { length.next_multiple_of(8) } else { 0 };
        // FileNameLength is the third number of a list of names, and the sixteenth of others.
        let place = if fixed == 12 { 8 } else { 60 };
        let entry = Bytes::new().zeros(fixed).with32(0, u32::try_from(next).unwrap());
        let entry = entry.with32(place, u32::try_from(name.len()).unwrap()).text(&name);
        let gap = next.saturating_sub(length);
        list.extend(entry.zeros(gap).0);
    }
    list
}

fn directories() -> Vec<Row> {
    let most = 1 << 16;
    let listed = |what, class, fixed| {
        let answer = Bytes::output(0x0e, &entries(fixed, &[".", "..", "odd"]));
        row(what, &[R::DirectoryShort, R::DirectoryOutside], EVERY, asking::directory(class, most), answer)
    };
    let long = entries(64, &["a name of some length"; 1500]);
    vec![
        listed("FileDirectoryInformation", 0x01, 64),
        listed("FileFullDirectoryInformation", 0x02, 68),
        listed("FileBothDirectoryInformation", 0x03, 94),
        listed("FileIdBothDirectoryInformation", 0x25, 104),
        listed("FileIdFullDirectoryInformation", 0x26, 80),
        listed("FileIdExtdDirectoryInformation", 0x3c, 88),
        row(
            "FileNamesInformation of one name",
            &[R::DirectoryShort],
            EVERY,
            asking::directory(0x0c, most),
            Bytes::output(0x0e, &entries(12, &["a"])),
        )
        .not_linux(),
        row(
            "a longer list than Linux's client asks for",
            &[R::ReplyDataIgnored],
            EVERY,
            asking::directory(0x01, 1 << 20),
            Bytes::output(0x0e, &long),
        ),
        row(
            "no more files",
            &[R::ReplySize],
            EVERY,
            asking::directory(0x25, most),
            error(0x0e, NO_MORE_FILES, 0, &[]),
        ),
    ]
}

fn information() -> Vec<Row> {
    let file = |class, output: &[u8]| (asking::info(1, class, 4096), Bytes::output(0x10, output));
    let answered = |what, edges, (asked, answer)| row(what, edges, EVERY, asked, answer);
    let cut = Bytes::output(0x10, &[0; 104]).with32(8, BUFFER_OVERFLOW);
    // One that allows everybody everything, and neither owner nor group (MS-DTYP 2.4.6).
    let list = Bytes::new().byte(2).byte(0).le16(28).le16(1).le16(0).le16(0).le16(20).le32(0x1f_01ff);
    let list = list.text(&sid(&[0]));
    let descriptor = Bytes::new().byte(1).byte(0).le16(0x8004).zeros(12).le32(20).text(&list.0).0;
    let volume = Bytes::new().zeros(8).le32(0x1234).le32(2).byte(0).byte(0).utf16("C").0;
    let quota = Bytes::new().le32(0).le32(12).zeros(32).text(&sid(&[18])).0;
    let stream = Bytes::new().le32(0).le32(14).le64(4).le64(8).utf16("::$DATA").0;
    vec![
        answered("FileBasicInformation", &[R::InfoOutside], file(4, &[0; 40])),
        answered("FileStreamInformation", &[R::InfoOutside], file(22, &stream)),
        answered("FileStreamInformation of a directory, which has none", &[R::ReplyShort], file(22, &[])),
        row(
            "none, and a place for it behind the reply",
            &[R::InfoOutside],
            EVERY,
            asking::info(1, 22, 4096),
            Bytes::output(0x10, &[]).with16(66, 80),
        )
        .not_linux(),
        answered("FileAllInformation, cut short", &[R::ReplySize], (asking::info(1, 18, 104), cut)),
        row(
            "less room than it takes",
            &[R::ReplySize],
            EVERY,
            asking::info(1, 18, 8),
            error(0x10, BUFFER_TOO_SMALL, 0, &100u32.to_le_bytes()),
        ),
        row("a volume", &[R::InfoOutside], EVERY, asking::info(2, 1, 64), Bytes::output(0x10, &volume)),
        row(
            "an access list",
            &[R::InfoOutside],
            EVERY,
            asking::info(3, 0, 256),
            Bytes::output(0x10, &descriptor),
        ),
        row("a quota", &[R::InfoOutside], EVERY, asking::info(4, 0, 256), Bytes::output(0x10, &quota)),
    ]
}

/// CHANGE_NOTIFY and what comes unasked.
fn notices() -> Vec<Row> {
    let asked = || asking::notify(4096);
    // One change of a name of one character (MS-FSCC 2.7.1).
    let change = Bytes::new().le32(0).le32(3).le32(2).utf16("a").0;
    let status = |status| Bytes::output(0x0f, &[]).with32(8, status);
    let oplock = Bytes::reply(0x12, SUCCESS).le16(24).byte(1).byte(0).le32(0).text(b"a handle of sixt");
    let lease = |epoch| {
        let head = Bytes::reply(0x12, SUCCESS).le16(44).le16(epoch).le32(1).text(b"a key of sixteen");
        head.le32(7).le32(3).zeros(12)
    };
    let acknowledged = Bytes::reply(0x12, SUCCESS).le16(36).zeros(34);
    // That a session was closed (MS-SMB2 2.2.44.1).
    let closed = Bytes::reply(0x13, SUCCESS).le16(4).le16(0).le32(0).le32(0);
    vec![
        row("a change", &[R::NotifyShort, R::NotifyOutside], EVERY, asked(), Bytes::output(0x0f, &change)),
        row("more changes than fit", &[R::NotifyShort], EVERY, asked(), status(NOTIFY_ENUM_DIR)),
        row("a directory that was closed", &[R::ReplySize], EVERY, asked(), status(NOTIFY_CLEANUP)),
        row(
            "to be answered later",
            &[R::ReplySize],
            EVERY,
            asked(),
            error(0x0f, PENDING, 0, &[]).with32(16, 3),
        ),
        row(
            "changes, but none is named",
            &[R::NotifyShort],
            EVERY,
            asked(),
            Bytes::output(0x0f, &[]).byte(0),
        )
        .not_linux(),
        unasked("a broken oplock", &[R::HeaderNotReply, R::ReplySize], EVERY, oplock),
        unasked("a broken lease", &[R::ReplySize, R::ReplyShort], LEASES, lease(0)),
        unasked("a broken lease of version 2", &[R::ReplySize], SMB3, lease(3)),
        row("a lease given up", &[R::ReplySize], 0x210..=0x311, asking::plain(0x12), acknowledged),
        unasked("a closed session", &[R::HeaderCommand], SMB311, closed).not_linux(),
    ]
}

/// An IOCTL with this output and status (MS-SMB2 2.2.32).
fn controlled(code: u32, status: u32, output: &[u8]) -> Bytes {
    Bytes::ioctl(code, output).with32(8, status)
}

/// IOCTLs but those about referrals and reparse points.
fn controls() -> Vec<Row> {
    let asked = |code| asking::ioctl(code, &[]);
    let answered = |what, edges, code, output: &[u8]| {
        row(what, edges, EVERY, asked(code), controlled(code, SUCCESS, output))
    };
    const INTERFACES: u32 = 0x0014_01fc;
    const RANGES: u32 = 0x0009_40cf;
    const COPY: u32 = 0x0014_40f2;
    const PIPE: u32 = 0x0011_c017;
    let two = [interface(152), interface(0)].concat();
    // More than a copying parser takes.
    let mut many = interface(152).repeat(431);
    many.extend(interface(0));
    // How much may be copied at once: chunks, bytes of each, bytes of all (MS-SMB2 2.2.32.1).
    let limits = Bytes::new().le32(256).le32(1 << 20).le32(16 << 20).0;
    let validated = Bytes::new().le32(0x7f).text(b"a server's GUID.").le16(1).le16(0x302).0;
    vec![
        answered("two interfaces", &[R::InterfacesShort, R::InterfacesNextInEntry], INTERFACES, &two),
        answered(
            "one interface",
            &[R::InterfacesNextOutside, R::InterfacesTrailing],
            INTERFACES,
            &interface(0),
        ),
        answered("432 interfaces", &[R::IoctlLong], INTERFACES, &many).not_linux(),
        answered("a resume key", &[R::ResumeKeyShort], 0x0014_0078, &[9; 28]),
        answered("a resume key with a context", &[R::ResumeKeyShort], 0x0014_0078, &[9; 32]),
        answered("copied chunks", &[R::IoctlOutside], COPY, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]),
        row(
            "more chunks than may be copied",
            &[R::ReplySize],
            EVERY,
            asked(COPY),
            controlled(COPY, INVALID_PARAMETER, &limits),
        ),
        answered("a range of data", &[R::RangesPartial], RANGES, &[0; 16]),
        answered("no range of data", &[R::IoctlOutside], RANGES, &[]),
        row(
            "the first of several ranges",
            &[R::RangesPartial],
            EVERY,
            asked(RANGES),
            controlled(RANGES, BUFFER_OVERFLOW, &[0; 16]),
        ),
        row(
            "what was negotiated",
            &[R::IoctlOutside],
            SMB3,
            asked(0x0014_0204),
            controlled(0x0014_0204, SUCCESS, &validated),
        ),
        answered("an answer through a pipe", &[R::IoctlOutside], PIPE, &[5; 68]),
        row("part of one", &[R::ReplySize], EVERY, asked(PIPE), controlled(PIPE, BUFFER_OVERFLOW, &[5; 68])),
        answered("no snapshots", &[R::IoctlOutside], 0x0014_4064, &[0; 12]),
        answered("an object's id", &[R::IoctlOutside], 0x0009_00c0, &[6; 64]),
    ]
}

fn reparse_points() -> Vec<Row> {
    const GET: u32 = 0x0009_00a8;
    const SET: u32 = 0x0009_00a4;
    let answered = |what, edges, point: Bytes| {
        row(what, edges, EVERY, asking::ioctl(GET, &[]), controlled(GET, SUCCESS, &point.0))
    };
    let names = Bytes::new().le16(0).le16(8).le16(10).le16(6).utf16("\\??\\\0C:\\\0").0;
    // Of nobody that Microsoft knows: the header goes on with a GUID (MS-FSCC 2.1.2.3).
    let foreign = Bytes::new().le32(0x0000_1234).le16(4).le16(0).text(b"somebody's GUID.").text(b"data");
    vec![
        answered("a mount point", &[R::ReparseDataOutside], reparse(0xa000_0003, &names)),
        answered("a deduplicated file without data", &[R::ReparseShort], reparse(0x8000_0013, b"")),
        answered("somebody's reparse point", &[R::ReparseDataOutside], foreign),
        row(
            "a reparse point that was set",
            &[R::IoctlOutside],
            EVERY,
            asking::ioctl(SET, &names),
            controlled(SET, SUCCESS, &[]),
        ),
    ]
}

/// A reply to a request for referrals.
fn referred(what: &'static str, edges: &'static [Rule], level: u16, path: &str, list: Bytes) -> Row {
    let answer = controlled(GET_REFERRALS, SUCCESS, &list.0);
    row(what, edges, EVERY, asking::referrals(level, path), answer)
}

/// What referrals begin with (MS-DFSC 2.2.4).
fn list(consumed: u16, count: u16) -> Bytes {
    Bytes::new().le16(consumed).le16(count).le32(2)
}

/// A referral of version 3 or 4 with path, alternate path and target, which stand so far behind it
/// (MS-DFSC 2.2.5.3.1, 2.2.5.4).
fn to_path(list: Bytes, version: u16, [path, alternate, target]: [u16; 3]) -> Bytes {
    let list = list.le16(version).le16(34).le16(1).le16(0).le32(300);
    list.le16(path).le16(alternate).le16(target).zeros(16)
}

/// A referral of version 3 or 4 about a domain, with the place of its name and of so many names of
/// controllers (MS-DFSC 2.2.5.3.2); 18 bytes long, or with 16 more.
fn to_names(list: Bytes, version: u16, size: u16, name: u16, [count, names]: [u16; 2]) -> Bytes {
    let list = list.le16(version).le16(size).le16(0).le16(2).le32(600).le16(name).le16(count).le16(names);
    list.zeros(usize::from(size) - 18)
}

/// About paths.
fn referrals() -> Vec<Row> {
    const PATH: &str = "\\d\\r";
    let path = |version| to_path(list(8, 1), version, [34, 44, 54]).utf16("\\d\\r\0\\d\\r\0\\s\\r\0");
    // Version 1 has its target in it, version 2 has places for three (2.2.5.1, 2.2.5.2).
    let first = list(8, 1).le16(1).le16(18).le16(1).le16(0).utf16("\\s\\r\0");
    let second = list(8, 1).le16(2).le16(22).le16(1).le16(0).le32(0).le32(300);
    let second = second.le16(22).le16(32).le16(42).utf16("\\d\\r\0\\d\\r\0\\s\\r\0");
    let ends = to_path(list(8, 1), 3, [34, 34, 44]).utf16("\\d\\r\0");
    const PLACES: &[Rule] = &[R::ReferralsPath, R::ReferralsTarget, R::ReferralsCount];
    vec![
        referred("a referral as Linux's client asks for", PLACES, 3, PATH, path(3)),
        referred("a referral whose target is an empty name at its end", PLACES, 3, PATH, ends),
        referred("a referral of version 4", &[R::ReferralsVersion], 4, PATH, path(4)).not_linux(),
        referred("a referral of version 3 where 4 could be", &[R::ReferralsVersion], 4, PATH, path(3)),
        referred("a referral of version 2", &[R::ReferralsVersion], 2, PATH, second).not_linux(),
        referred("a referral of version 1", &[R::ReferralsCount], 1, PATH, first).not_linux(),
        referred("no referral", &[R::ReferralsShort], 3, PATH, list(0, 0)),
        row(
            "no namespace",
            &[R::ReplySize],
            EVERY,
            asking::referrals(4, PATH),
            error(0x0b, NOT_FOUND, 0, &[]),
        ),
        row(
            "referrals that are cut short",
            &[R::ReferralsCount],
            EVERY,
            asking::referrals(3, PATH),
            controlled(GET_REFERRALS, BUFFER_OVERFLOW, &path(3).0[..40]),
        ),
    ]
}

/// About domains and their controllers, as a member of a domain asks.
fn domains() -> Vec<Row> {
    const NAMES: &[Rule] = &[R::ReferralsPath, R::ReferralsTarget, R::ReferralsCount, R::ReferralsVersion];
    // All domains that are known: two names, and no names of controllers.
    let all = |version, size: u16| {
        let names = to_names(list(0, 2), version, size, 2 * size, [0, 0]);
        to_names(names, version, size, size + 6, [0, 0]).utf16("\\D\0\\d.example\0")
    };
    // The controllers of one: its name, and two names after it.
    let controllers = |version, size: u16| {
        to_names(list(4, 1), version, size, size, [2, size + 6]).utf16("\\D\0\\dc1\0\\dc2\0")
    };
    // Shorter than a referral with a path.
    let shortest = to_names(list(0, 1), 3, 18, 18, [0, 0]).utf16("\\D\0");
    let mut rows = Vec::new();
    for (version, size) in [(3, 18), (3, 34), (4, 18), (4, 34)] {
        rows.push(referred("all domains", NAMES, version, "", all(version, size)).not_linux());
        let one = referred("a domain's controllers", NAMES, version, "\\D", controllers(version, size));
        // Read as a path and a target, two of its places are far enough.
        rows.push(Row { linux: (version, size) == (3, 34), ..one });
    }
    rows.push(referred("the shortest of all", NAMES, 3, "", shortest).not_linux());
    rows
}
