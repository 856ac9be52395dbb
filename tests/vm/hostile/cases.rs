// SPDX-License-Identifier: GPL-2.0
//! The replies that are changed: each as a public, mended defect or a rule of the verifier has it,
//! and none beyond what a mended client refuses.

use verify::Rule;
use verify::Rule as R;

use crate::frames::put;

/// One change of one reply.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name, also that of the file that it is about.
    pub(crate) name: &'static str,
    /// Who refuses the reply.
    pub(crate) judge: Judge,
    /// Which reply.
    pub(crate) reply: Reply,
    /// What is changed in it.
    pub(crate) change: Change,
    /// How the guest comes to ask for it.
    pub(crate) act: Act,
    /// How that ends when the reply is refused.
    pub(crate) end: End,
}

/// Who can tell that a reply is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// The verifier as the guard has it, from the reply alone: it breaks this rule.
    Verifier(Rule),
    /// Only who knows the request, which is the mended client: to the verifier with the request it
    /// would break this rule.
    Client(Rule),
}

/// Which reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Negotiate,
    /// The one with the server's challenge.
    Challenge,
    /// Of a share that is not `IPC$`.
    TreeConnect,
    /// Of the file that bears the case's name, by itself.
    Create,
    /// Of the file that bears the case's name: that there is none.
    Absence,
    Read,
    Directory,
    /// To CHANGE_NOTIFY.
    Notify,
    /// The notification of a broken lease, which the server sends unasked.
    Break,
    /// Of this `InfoType` and class.
    Info(u8, u8),
    /// Likewise, and in the compound that opens the file that bears the case's name.
    Lookup(u8, u8),
    /// To this `CtlCode`.
    Ioctl(u32),
}

/// What is changed in a message, from its header on. Numbers are those of the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// At this byte, in as many, this number.
    Put(usize, usize, u32),
    /// Several fields; says whether they are there.
    With(fn(&mut [u8]) -> bool),
    /// Only so many bytes are left.
    Cut(usize),
    /// All behind the header, and the status.
    Body(u32, fn() -> Vec<u8>),
}

/// What the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Mounts the share.
    Mount,
    /// Mounts a share of the case's name that refers to itself; the client remembers that, so it is
    /// one of its own.
    MountReferred,
    Read,
    /// Looks at a file that could be a symbolic link in the manner of Minshall and French, and
    /// reads it.
    ReadLinkLike,
    /// Asks for a file that is not there.
    ReadAbsent,
    List,
    ReadAttribute,
    ReadSecurity,
    StatFileSystem,
    Copy,
    FindHole,
    /// Waits for a change in a directory.
    Watch,
    /// Reads a file that another mount of the share then writes to.
    BreakLease,
    /// Looks at a file.
    Stat,
    /// Looks at a named pipe.
    StatPipe,
}

/// How an act ends of which the reply was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With an error.
    Error,
    /// Well: the client does without that answer.
    Without,
    /// With what the file held before: the client makes nothing of the notification.
    Stale,
    /// Well: the client heeds the notification although its own first check refused it.
    Heeded,
}

/// `FSCTL_DFS_GET_REFERRALS` and so on (MS-FSCC 2.3).
const REFERRALS: u32 = 0x0006_0194;
const RANGES: u32 = 0x0009_40cf;
const RESUME_KEY: u32 = 0x0014_0078;
const INTERFACES: u32 = 0x0014_01fc;
const REPARSE: u32 = 0x0009_00a8;

/// QUERY_INFO of `FileFullEaInformation`, of `FileFsFullSizeInformation` and of security (MS-SMB2
/// 2.2.37; MS-FSCC 2.4, 2.5).
const ATTRIBUTES: Reply = Reply::Info(1, 15);
const FILE_SYSTEM: Reply = Reply::Info(2, 7);
const SECURITY: Reply = Reply::Info(3, 0);

/// QUERY_INFO of POSIX information, and where the owner's SID begins in its reply.
const POSIX: Reply = Reply::Lookup(1, 100);
const OWNER: usize = BLOB + 80;
/// Where it begins in an entry of a directory with POSIX information.
const ENTRY_OWNER: usize = 92;

/// Where a challenge, an attribute list, a descriptor or a directory begins in its reply, and the
/// output of an IOCTL by Samba.
const BLOB: usize = 72;
const OUTPUT: usize = 112;

/// Beyond what the client believes of an offset.
const FAR: u32 = 5000;

const fn rule(name: &'static str, rule: Rule, reply: Reply, change: Change, act: Act) -> Case {
    Case { name, judge: Judge::Verifier(rule), reply, change, act, end: End::Error }
}

const fn without(name: &'static str, rule: Rule, reply: Reply, change: Change, act: Act) -> Case {
    Case { name, judge: Judge::Verifier(rule), reply, change, act, end: End::Without }
}

const fn client(name: &'static str, rule: Rule, reply: Reply, change: Change, act: Act) -> Case {
    Case { name, judge: Judge::Client(rule), reply, change, act, end: End::Error }
}

use Change::{Body, Cut, Put, With};

/// Those about what Samba answers.
#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    rule("negotiate-blob-outside", R::ReplyDataOutside, Reply::Negotiate, Put(122, 2, 0xfff0), Act::Mount),
    rule("negotiate-blob-in-header", R::ReplyDataInHeader, Reply::Negotiate, Put(120, 2, 64), Act::Mount),
    rule("negotiate-contexts-outside", R::NegotiateContextsOutside, Reply::Negotiate, Put(124, 4, 0x1_0000), Act::Mount),
    rule("negotiate-cipher-short", R::NegotiateCipherShort, Reply::Negotiate, With(|m| cipher(m, 2, 2)), Act::Mount),
    rule("negotiate-cipher-count", R::NegotiateCipherCount, Reply::Negotiate, With(|m| cipher(m, 8, 2)), Act::Mount),
    rule("negotiate-cipher-unknown", R::NegotiateCipherUnknown, Reply::Negotiate, With(|m| cipher(m, 10, 0x7f)), Act::Mount),
    rule("session-setup-blob-outside", R::ReplyDataOutside, Reply::Challenge, Put(70, 2, 0xfff0), Act::Mount),
    rule("session-setup-blob-offset", R::SessionSetupBlobOffset, Reply::Challenge, With(move_blob), Act::Mount),
    rule("challenge-short", R::ChallengeShort, Reply::Challenge, Put(70, 2, 40), Act::Mount),
    rule("challenge-signature", R::ChallengeSignature, Reply::Challenge, Put(BLOB, 1, 0), Act::Mount),
    rule("challenge-target-outside", R::ChallengeTargetOutside, Reply::Challenge, Put(BLOB + 44, 4, 0x1_0000), Act::Mount),
    rule("tree-connect-share-type", R::TreeConnectShareType, Reply::TreeConnect, Put(66, 1, 9), Act::Mount),
    without("interfaces-short", R::InterfacesShort, Reply::Ioctl(INTERFACES), Put(100, 4, 100), Act::Mount),
    without("interfaces-next-in-entry", R::InterfacesNextInEntry, Reply::Ioctl(INTERFACES), Put(OUTPUT, 4, 8), Act::Mount),
    without("interfaces-next-outside", R::InterfacesNextOutside, Reply::Ioctl(INTERFACES), Put(OUTPUT, 4, 0x1_0000), Act::Mount),
    without("interfaces-far", R::IoctlOutside, Reply::Ioctl(INTERFACES), Put(96, 4, FAR), Act::Mount),
    without("referrals-short", R::ReferralsShort, Reply::Ioctl(REFERRALS), Put(100, 4, 4), Act::MountReferred),
    without("referrals-count", R::ReferralsCount, Reply::Ioctl(REFERRALS), Put(OUTPUT + 2, 2, 0xff), Act::MountReferred),
    // A program of root's may ask for another version; the client turns it away before it goes on.
    Case { end: End::Without, ..client("referrals-version", R::ReferralsVersion, Reply::Ioctl(REFERRALS), Put(OUTPUT + 8, 2, 2), Act::MountReferred) },
    without("referrals-path", R::ReferralsPath, Reply::Ioctl(REFERRALS), Put(OUTPUT + 8 + 12, 2, 0xfff0), Act::MountReferred),
    without("referrals-path-in-entry", R::ReferralsPath, Reply::Ioctl(REFERRALS), Put(OUTPUT + 8 + 12, 2, 8), Act::MountReferred),
    without("referrals-target", R::ReferralsTarget, Reply::Ioctl(REFERRALS), Put(OUTPUT + 8 + 16, 2, 0xfff0), Act::MountReferred),
    rule("header-size", R::HeaderSize, FILE_SYSTEM, Put(4, 2, 63), Act::StatFileSystem),
    rule("header-not-reply", R::HeaderNotReply, FILE_SYSTEM, With(as_request), Act::StatFileSystem),
    rule("reply-size", R::ReplySize, FILE_SYSTEM, Put(64, 2, 8), Act::StatFileSystem),
    rule("info-data-in-header", R::ReplyDataInHeader, FILE_SYSTEM, Put(66, 2, 64), Act::StatFileSystem),
    rule("create-contexts-far", R::CreateContextsOutside, Reply::Create, Put(144, 4, FAR), Act::Read),
    rule("attributes-outside", R::ReplyDataOutside, ATTRIBUTES, Put(68, 4, 0x1_0000), Act::ReadAttribute),
    rule("attributes-far", R::InfoOutside, ATTRIBUTES, Put(66, 2, FAR), Act::ReadAttribute),
    client("attribute-outside", R::EaOutside, ATTRIBUTES, Put(BLOB + 6, 2, 0xfff0), Act::ReadAttribute),
    client("attribute-next-in-header", R::EaNextInHeader, ATTRIBUTES, With(another_name), Act::ReadAttribute),
    rule("security-outside", R::ReplyDataOutside, SECURITY, Put(68, 4, 0x1_0000), Act::ReadSecurity),
    rule("security-far", R::InfoOutside, SECURITY, Put(66, 2, FAR), Act::ReadSecurity),
    rule("directory-outside", R::ReplyDataOutside, Reply::Directory, Put(68, 4, 0x1_0000), Act::List),
    rule("directory-far", R::DirectoryOutside, Reply::Directory, Put(66, 2, FAR), Act::List),
    rule("directory-short", R::DirectoryShort, Reply::Directory, Put(68, 4, 32), Act::List),
    // The client takes the entries before.
    Case { end: End::Without, ..client("entry-name-outside", R::DirectoryNameOutside, Reply::Directory, Put(BLOB + 60, 4, 0x2000), Act::List) },
    without("read-outside", R::ReplyDataOutside, Reply::Read, Put(68, 4, 0x1_0000), Act::ReadLinkLike),
    Case { end: End::Without, ..client("read-long", R::ReplyDataIgnored, Reply::Read, Put(68, 4, 0x3_0000), Act::ReadLinkLike) },
    rule("notify-outside", R::ReplyDataOutside, Reply::Notify, Put(68, 4, 0x1_0000), Act::Watch),
    rule("notify-far", R::NotifyOutside, Reply::Notify, Put(66, 2, FAR), Act::Watch),
    rule("notify-short", R::NotifyShort, Reply::Notify, Put(68, 4, 8), Act::Watch),
    Case { end: End::Stale, ..rule("break-size", R::ReplySize, Reply::Break, Put(64, 2, 40), Act::BreakLease) },
    // Without the mask hints, which nobody reads.
    Case { end: End::Heeded, ..rule("break-short", R::ReplyShort, Reply::Break, Cut(100), Act::BreakLease) },
    rule("resume-key-short", R::ResumeKeyShort, Reply::Ioctl(RESUME_KEY), Put(100, 4, 8), Act::Copy),
    rule("resume-key-far", R::IoctlOutside, Reply::Ioctl(RESUME_KEY), Put(96, 4, FAR), Act::Copy),
    rule("ranges-partial", R::RangesPartial, Reply::Ioctl(RANGES), Put(100, 4, 15), Act::FindHole),
    rule("symlink-short", R::SymlinkShort, Reply::Absence, Body(STOPPED, || link(|l| put32(l, 4, 20))), Act::ReadAbsent),
    rule("symlink-context-outside", R::SymlinkContextOutside, Reply::Absence,
        Body(STOPPED, || link(|l| { put32(l, 8, 0xffff_fff9); put32(l, 12, 7) })), Act::ReadAbsent),
    rule("symlink-no-context", R::SymlinkNoContext, Reply::Absence, Body(STOPPED, || link(|l| put32(l, 12, 7))), Act::ReadAbsent),
    rule("symlink-tag", R::SymlinkTag, Reply::Absence, Body(STOPPED, || link(|l| put32(l, 20, 0))), Act::ReadAbsent),
    rule("symlink-target-outside", R::SymlinkTargetOutside, Reply::Absence, Body(STOPPED, || link(|l| put32(l, 32, 0xfff0_0000))), Act::ReadAbsent),
    rule("symlink-print-outside", R::SymlinkPrintOutside, Reply::Absence, Body(STOPPED, || link(|l| put32(l, 36, 0xfff0_0000))), Act::ReadAbsent),
];

/// Those about what ksmbd answers and the host's Samba does not: a named pipe is a reparse point,
/// and with the extensions for POSIX, which the mount asks for, it says of every file what stat(2)
/// does.
#[rustfmt::skip]
pub(crate) const KSMBD_CASES: &[Case] = &[
    without("reparse-short", R::ReparseShort, Reply::Ioctl(REPARSE), Put(100, 4, 4), Act::StatPipe),
    without("reparse-data-outside", R::ReparseDataOutside, Reply::Ioctl(REPARSE), Put(OUTPUT + 4, 2, 0x100), Act::StatPipe),
    without("reparse-far", R::IoctlOutside, Reply::Ioctl(REPARSE), Put(96, 4, FAR), Act::StatPipe),
    rule("posix-info-outside", R::ReplyDataOutside, POSIX, Put(68, 4, 0x1_0000), Act::Stat),
    rule("posix-info-far", R::InfoOutside, POSIX, Put(66, 2, FAR), Act::Stat),
    // The client goes on without owner and group: it forgets the error.
    Case { end: End::Without, ..client("posix-short", R::PosixShort, POSIX, Put(68, 4, 80), Act::Stat) },
    Case { end: End::Without, ..client("posix-owner", R::PosixOwner, POSIX, Put(OWNER + 1, 1, 0), Act::Stat) },
    Case { end: End::Without, ..client("posix-group", R::PosixGroup, POSIX, With(many_groups), Act::Stat) },
    rule("posix-context-outside", R::CreateDataOutside, Reply::Create, With(long_posix_context), Act::Read),
    rule("posix-directory-far", R::DirectoryOutside, Reply::Directory, Put(66, 2, FAR), Act::List),
    // The client takes the entries before.
    Case { end: End::Without, ..client("posix-entry-owner", R::DirectoryPosix, Reply::Directory, Put(BLOB + ENTRY_OWNER + 1, 1, 0), Act::List) },
];

/// The case of this name.
pub(crate) fn named(name: &str) -> Option<&'static Case> {
    CASES.iter().chain(KSMBD_CASES).find(|case| case.name == name)
}

/// `STATUS_STOPPED_ON_SYMLINK`.
const STOPPED: u32 = 0x8000_002d;

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// The body of an error with one context, which holds a symbolic link to `to` (MS-SMB2 2.2.2,
/// 2.2.2.2.1), as `change` leaves it: in front ErrorContextCount at 2 and ByteCount at 4, the
/// context's length at 8 and kind at 12, the link's tag at 20, the places of its target at 32 and
/// of its printed name at 36.
fn link(change: fn(&mut [u8])) -> Vec<u8> {
    let name: Vec<u8> = "to".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = name.len() as u32;
    let mut body = vec![9, 0, 1, 0];
    // ByteCount; ErrorDataLength, ErrorId; SymLinkLength; the tags of an error and of a reparse
    // point.
    for number in [8 + 28 + 2 * length, 28 + 2 * length, 0, 24 + 2 * length, 0x4c4d_5953, 0xa000_000c] {
        body.extend(number.to_le_bytes());
    }
    // ReparseDataLength and UnparsedPathLength; place and length of the target and of the printed
    // name; Flags.
    for number in [12 + 2 * length, length << 16, length | length << 16, 1] {
        body.extend(number.to_le_bytes());
    }
    body.extend([&name[..], &name[..]].concat());
    change(&mut body);
    body
}

/// Puts a number of two bytes `at` in the negotiate context of the cipher.
fn cipher(message: &mut [u8], at: usize, value: u16) -> bool {
    let word =
        |message: &[u8], at: usize| Some(u16::from_le_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let mut context = word(message, 124).map_or(0, usize::from);
    while let (Some(kind), Some(length)) = (word(message, context), word(message, context + 2)) {
        if kind == 2 {
            message[context + at..context + at + 2].copy_from_slice(&value.to_le_bytes());
            return true;
        }
        context += (8 + usize::from(length)).next_multiple_of(8);
    }
    false
}

/// The blob of a session setup begins 8 bytes later, and ends where it did.
fn move_blob(message: &mut [u8]) -> bool {
    let length = u16::from_le_bytes([message[70], message[71]]);
    message[68..70].copy_from_slice(&80u16.to_le_bytes());
    message[70..72].copy_from_slice(&(length - 8).to_le_bytes());
    true
}

/// Takes away what says that a message is a reply.
fn as_request(message: &mut [u8]) -> bool {
    message[16] &= !1;
    true
}

/// The first attribute is not the one asked for, and the next begins in its header.
fn another_name(message: &mut [u8]) -> bool {
    put32(message, BLOB, 4);
    message[BLOB + 8] ^= 1;
    true
}

/// The group's SID, after the owner's, has more parts than there may be.
fn many_groups(message: &mut [u8]) -> bool {
    let parts = message.get(OWNER + 1).map_or(0, |parts| usize::from(*parts));
    put(message, OWNER + 8 + 4 * parts + 1, 1, 0xff)
}

/// The name of the create context with POSIX information begins like this.
const POSIX_CONTEXT: &[u8] = b"\x93\xad\x25\x50\x9c\xb4\x11\xe7";

/// The data of the create context with POSIX information end past the context.
fn long_posix_context(message: &mut [u8]) -> bool {
    let name = message.windows(POSIX_CONTEXT.len()).position(|bytes| bytes == POSIX_CONTEXT);
    // The name comes after the fixed part.
    name.and_then(|name| name.checked_sub(16)).is_some_and(|context| put(message, context + 12, 4, 0x1000))
}
