// SPDX-License-Identifier: GPL-2.0
//! What is judged of a message without its request.

use crate::bytes::{
    attribute, challenge, error_context, interface, link, negotiate, negotiate_context, read, referrals,
    reparse, session_setup, stopped, symlink_point, tree_connect, Bytes,
};
use crate::{verify, verify_asked, Accepted, Rejected};
use verify::compound::{Carrier, Messages};
use verify::Level::{Enforce, Strict};
use verify::{Asked, Malformed, Rule};

const SUCCESS: u32 = 0;
const ACCESS_DENIED: u32 = 0xc000_0022;

/// The contexts that Windows sends: hash, cipher, signing.
fn three_contexts() -> Vec<u8> {
    let hash = Bytes::new().le16(1).le16(32).le16(1).zeros(32).0;
    let cipher = Bytes::new().le16(1).le16(2).0;
    let signing = Bytes::new().le16(1).le16(1).0;
    [negotiate_context(1, &hash), negotiate_context(2, &cipher), negotiate_context(8, &signing)].concat()
}

/// A LOGOFF reply, the shortest that there is.
fn logoff() -> Bytes {
    Bytes::reply(2, SUCCESS).le16(4).le16(0)
}

/// An error without details.
fn error(command: u16) -> Bytes {
    Bytes::reply(command, ACCESS_DENIED).le16(9).le16(0).le32(0).byte(0)
}

/// A notification of a broken oplock or lease: sent unasked, so no reply.
fn notification(size: u16) -> Bytes {
    Bytes::reply(0x12, SUCCESS).with32(16, 0).le16(size).zeros(usize::from(size) - 2)
}

/// A change: a file was added (MS-FSCC 2.7.1).
fn change() -> Vec<u8> {
    Bytes::new().le32(0).le32(1).le32(2).utf16("a").0
}

/// The same verdict for a compound: the first error in it.
fn split(compound: &Bytes, carrier: Carrier) -> Result<(), Malformed> {
    Messages::new(&compound.0, carrier).try_for_each(|message| message.map(drop))
}

/// Several LOGOFF replies in one.
fn compound(count: usize) -> Bytes {
    let more = logoff().zeros(4).with32(20, 72);
    (1..count).fold(Bytes::new(), |all, _| all.text(&more.0)).text(&logoff().0)
}

pub(crate) fn accepted() -> Vec<Accepted> {
    let strict = |bytes: Bytes| verify(&bytes.0, Strict);
    let enforce = |bytes: Bytes| verify(&bytes.0, Enforce);
    let target = Bytes::new().utf16("dir\\file").0;
    vec![
        ("the shortest reply", strict(logoff())),
        ("an error", strict(error(5))),
        ("an error without the byte that stands for data", strict(error(5).cut(72))),
        ("an error without a body", strict(error(5).cut(64))),
        ("an error with half a size", strict(error(5).cut(65))),
        ("one whose last byte is missing", enforce(logoff().cut(67))),
        ("padding after a reply", strict(logoff().zeros(4))),
        ("a broken oplock", strict(notification(24))),
        ("a broken lease", strict(notification(44))),
        ("a compound", split(&compound(3), Carrier::Encrypted)),
        (
            "a compound whose last step is too long, as it came",
            split(&logoff().with32(20, 512), Carrier::Plain),
        ),
        ("as many messages as the client takes", split(&compound(10), Carrier::Encrypted)),
        ("no negotiate contexts", strict(negotiate(0, &[]))),
        ("three negotiate contexts", strict(negotiate(3, &three_contexts()))),
        ("an older dialect, which has none", strict(negotiate(9, &[]).with16(68, 0x302))),
        ("a negotiate context cut short", enforce(negotiate(3, &three_contexts()[..40]))),
        ("a cipher that is none", strict(negotiate(1, &negotiate_context(2, &[1, 0, 0, 0])))),
        ("a challenge", strict(session_setup(&challenge(b"target").0))),
        ("a challenge without target", strict(session_setup(&challenge(b"").0))),
        ("no challenge, and no body", enforce(session_setup(&challenge(b"").0).cut(64))),
        (
            "a session that is set up",
            strict(Bytes::reply(1, SUCCESS).le16(9).le16(0).le16(72).le16(4).zeros(4)),
        ),
        ("a disk", strict(tree_connect(1))),
        ("a pipe", strict(tree_connect(2))),
        ("a printer", strict(tree_connect(3))),
        ("a share that is refused", strict(error(3))),
        ("data", strict(read(b"0123456789"))),
        ("data of a large read", strict(read(&[7; 0x2_0001]))),
        ("no data", strict(read(b"").with(66, &[0]))),
        ("data whose place is not said", enforce(read(b"0123").with(66, &[0]))),
        ("the same, of more than there are", enforce(read(b"0123").with(66, &[0]).with32(68, 5))),
        ("data of more than the client believes", enforce(read(b"0123").with32(68, u32::MAX))),
        ("a link", strict(stopped(0, &link(&target).0))),
        ("a link in a context", strict(stopped(1, &error_context(0, &link(&target).0)))),
        (
            "a link after another context",
            strict(stopped(2, &[error_context(7, &[0; 40]), error_context(0, &link(&target).0)].concat())),
        ),
        ("a link that is not given, as macOS does it", enforce(stopped(0, &[]).byte(0))),
        ("a link to something odd, which is not followed", strict(stopped(0, &link(b"odd").0))),
        ("information", strict(Bytes::output(0x10, &[0; 100]))),
        ("information on nothing", strict(Bytes::output(0x10, &[]))),
        ("entries", strict(Bytes::output(0x0e, &[0; 64]))),
        ("no more entries", strict(Bytes::reply(0x0e, 0x8000_0006).le16(9).zeros(7))),
        ("a change", strict(Bytes::output(0x0f, &change()))),
        ("a change too many to tell", enforce(Bytes::output(0x0f, &[]))),
        ("an IOCTL without output, placed anywhere", strict(Bytes::ioctl(0x98c8, &[]).with32(96, 9999))),
        ("interfaces", strict(Bytes::ioctl(0x1401fc, &interface(0)))),
        ("no interfaces", strict(Bytes::ioctl(0x1401fc, &[]))),
        ("referrals", strict(Bytes::ioctl(0x60194, &referrals().0))),
        ("a reparse point", strict(Bytes::ioctl(0x900a8, &symlink_point("x").0))),
        ("a reparse point that someone made badly", strict(Bytes::ioctl(0x900a8, &symlink_point("").0))),
        ("allocated ranges", strict(Bytes::ioctl(0x940cf, &[0; 32]))),
        ("no allocated ranges", strict(Bytes::ioctl(0x940cf, &[]))),
        ("a resume key", strict(Bytes::ioctl(0x140078, &[0; 32]))),
        ("an IOCTL nobody knows", strict(Bytes::ioctl(0x12345, &[1, 2, 3]))),
    ]
}

pub(crate) fn rejected() -> Vec<Rejected> {
    [frames(), compounds(), set_up(), links(), outputs()].concat()
}

fn frames() -> Vec<Rejected> {
    use Rule::{
        HeaderCommand, HeaderNotReply, HeaderShort, HeaderSize, ReplyByteShort, ReplyDataIgnored,
        ReplyDataInHeader, ReplyDataOutside, ReplyShort, ReplySize,
    };
    let enforce = |bytes: Bytes| verify(&bytes.0, Enforce);
    let strict = |bytes: Bytes| verify(&bytes.0, Strict);
    vec![
        (HeaderShort, 63, enforce(logoff().cut(63))),
        (HeaderShort, 4, enforce(logoff().cut(4))),
        (HeaderShort, 65, enforce(logoff().cut(65))),
        (HeaderSize, 4, enforce(logoff().with16(4, 63))),
        (HeaderCommand, 12, enforce(logoff().with16(12, 0x13))),
        (HeaderNotReply, 16, enforce(logoff().with32(16, 0))),
        (ReplySize, 64, enforce(logoff().with16(64, 5))),
        (ReplySize, 64, enforce(error(2).with32(8, SUCCESS))),
        (ReplySize, 64, enforce(notification(44).with16(64, 40))),
        (ReplyShort, 66, enforce(logoff().cut(66))),
        (ReplyShort, 106, enforce(notification(44).cut(106))),
        (ReplyByteShort, 67, strict(logoff().cut(67))),
        (ReplyDataInHeader, 66, enforce(Bytes::output(0x10, &[0; 9]).with16(66, 71))),
        (ReplyDataInHeader, 66, enforce(read(b"data").with(66, &[79]))),
        (ReplyDataOutside, 66, enforce(read(b"data").with32(68, 5))),
        (ReplyDataOutside, 66, enforce(read(b"data").cut(83))),
        (ReplyDataIgnored, 66, strict(read(b"data").with(66, &[0]))),
        (ReplyDataIgnored, 66, strict(read(b"data").with32(68, u32::MAX))),
        (ReplyDataIgnored, 66, strict(read(&[7; 0x2_0001]).with32(68, 0x2_0002))),
        (ReplyDataIgnored, 68, strict(session_setup(&[0; 48]).with16(68, 4097))),
    ]
}

fn compounds() -> Vec<Rejected> {
    use Rule::{CompoundNextInHeader, CompoundNextMisaligned, CompoundNextOutside, CompoundTooMany};
    vec![
        (CompoundNextInHeader, 20, verify(&logoff().with32(20, 62).0, Enforce)),
        (CompoundNextInHeader, 20, split(&logoff().with32(20, 1), Carrier::Plain)),
        (CompoundNextInHeader, 72 + 20, split(&compound(3).with32(72 + 20, 62), Carrier::Encrypted)),
        (CompoundNextOutside, 20, split(&logoff().with32(20, 64), Carrier::Encrypted)),
        (CompoundNextOutside, 20, split(&compound(2).with32(20, u32::MAX), Carrier::Encrypted)),
        (CompoundTooMany, 720 + 20, split(&compound(11), Carrier::Encrypted)),
        (CompoundNextMisaligned, 20, verify(&logoff().with32(20, 68).0, Strict)),
    ]
}

fn set_up() -> Vec<Rejected> {
    use Rule::{
        ChallengeShort, ChallengeSignature, ChallengeTargetOutside, NegotiateCipherCount,
        NegotiateCipherShort, NegotiateCipherUnknown, NegotiateCompressionShort, NegotiateContextOutside,
        NegotiateContextsOutside, NegotiateHashShort, NegotiateSigningShort, SessionSetupBlobOffset,
        SessionSetupShort, TreeConnectShareType,
    };
    let enforce = |bytes: Bytes| verify(&bytes.0, Enforce);
    let strict = |bytes: Bytes| verify(&bytes.0, Strict);
    let one = |kind, data: &[u8]| negotiate(1, &negotiate_context(kind, data));
    let setup = |challenge: Bytes| session_setup(&challenge.0);
    vec![
        (NegotiateContextsOutside, 124, enforce(negotiate(1, &[]))),
        (NegotiateContextsOutside, 124, enforce(negotiate(3, &three_contexts()).with32(124, u32::MAX))),
        (NegotiateContextOutside, 184, strict(negotiate(3, &three_contexts()[..56]))),
        (NegotiateCipherShort, 138, enforce(one(2, &[1, 0, 2]))),
        (NegotiateCipherCount, 144, enforce(one(2, &[2, 0, 2, 0]))),
        (NegotiateCipherUnknown, 146, enforce(one(2, &[1, 0, 3, 0]))),
        (NegotiateHashShort, 138, strict(one(1, &[1, 0, 1, 0, 1, 0]))),
        (NegotiateHashShort, 138, strict(one(1, &[1, 0, 0]))),
        (NegotiateCompressionShort, 138, strict(one(3, &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0]))),
        (NegotiateSigningShort, 138, strict(one(8, &[1, 0]))),
        (SessionSetupShort, 64, strict(setup(challenge(b"")).cut(64))),
        (SessionSetupBlobOffset, 68, enforce(setup(challenge(b"")).zeros(1).with16(68, 73))),
        (ChallengeShort, 72 + 47, enforce(session_setup(&challenge(b"").cut(47).0))),
        (ChallengeSignature, 72, enforce(setup(challenge(b"").with(0, b"M")))),
        (ChallengeSignature, 72, enforce(setup(challenge(b"").with32(8, 3)))),
        (ChallengeTargetOutside, 72 + 44, enforce(setup(challenge(b"target").with16(40, 7)))),
        (ChallengeTargetOutside, 72 + 44, enforce(setup(challenge(b"").with32(44, 57)))),
        (TreeConnectShareType, 66, enforce(tree_connect(0))),
        (TreeConnectShareType, 66, enforce(tree_connect(4))),
    ]
}

fn links() -> Vec<Rejected> {
    use Rule::{
        SymlinkContextOutside, SymlinkMissing, SymlinkNoContext, SymlinkPrintOutside, SymlinkShort,
        SymlinkTag, SymlinkTargetOutside,
    };
    let enforce = |bytes: Bytes| verify(&bytes.0, Enforce);
    let bare = |link: Bytes| stopped(0, &link.0);
    let other = error_context(7, &[0; 40]);
    vec![
        (SymlinkShort, 68, enforce(stopped(0, &[0; 27]))),
        (SymlinkShort, 68, enforce(stopped(0, &[0; 27]).with32(68, 28))),
        (SymlinkShort, 68, enforce(stopped(1, &[0; 36]))),
        (SymlinkShort, 68, enforce(stopped(2, &[0; 71]))),
        (SymlinkContextOutside, 72, enforce(stopped(1, &other).with32(72, 41))),
        (SymlinkContextOutside, 72, enforce(stopped(1, &other).with32(72, u32::MAX))),
        (SymlinkNoContext, 72 + 48, enforce(stopped(1, &other))),
        (SymlinkTag, 72 + 4, enforce(bare(link(b"to")).with(76, b"X"))),
        (SymlinkTag, 72 + 8, enforce(bare(link(b"to")).with32(80, 0xa000_0003))),
        (SymlinkTargetOutside, 72 + 16, enforce(bare(link(b"to")).with16(88, 1))),
        (SymlinkTargetOutside, 72 + 16, enforce(bare(link(b"to")).with16(90, u16::MAX))),
        (SymlinkPrintOutside, 72 + 20, enforce(bare(link(b"to")).with16(92, 3))),
        (SymlinkMissing, 68, verify(&stopped(0, &[]).byte(0).0, Strict)),
    ]
}

fn outputs() -> Vec<Rejected> {
    use Rule::{
        DirectoryOutside, DirectoryShort, InfoOutside, InterfacesNextInEntry, IoctlLong, IoctlOutside,
        NotifyOutside, NotifyShort, RangesPartial, ReferralsPath, ReferralsVersion, ReparseDataOutside,
        ReparseShort, ResumeKeyShort,
    };
    let enforce = |bytes: Bytes| verify(&bytes.0, Enforce);
    let by_kernel = |bytes: Bytes| verify_asked(&bytes.0, Asked::by_kernel(), Enforce);
    let far = |command| Bytes::output(command, &[0; 80]).with16(66, 4097);
    let long = vec![0; 0xff01];
    vec![
        (InfoOutside, 66, enforce(far(0x10))),
        (InfoOutside, 66, enforce(Bytes::output(0x10, &attribute(0, "a", b"b")).with32(68, u32::MAX))),
        (DirectoryOutside, 66, enforce(far(0x0e))),
        (DirectoryShort, 68, enforce(Bytes::output(0x0e, &[0; 63]))),
        (NotifyOutside, 66, enforce(far(0x0f))),
        (NotifyShort, 68, enforce(Bytes::output(0x0f, &[0; 11]))),
        (IoctlOutside, 96, enforce(Bytes::ioctl(0x900a8, &[0; 8]).with32(100, u32::MAX))),
        (IoctlOutside, 96, enforce(Bytes::ioctl(0x900a8, &[0; 8]).with32(96, u32::MAX))),
        (IoctlLong, 112, by_kernel(Bytes::ioctl(0x1401fc, &long))),
        (InterfacesNextInEntry, 112, enforce(Bytes::ioctl(0x1401fc, &interface(151)))),
        (ReferralsVersion, 112 + 8, by_kernel(Bytes::ioctl(0x60194, &referrals().with16(8, 4).0))),
        (InfoOutside, 66, by_kernel(Bytes::output(0x10, &[]).with16(66, 80))),
        (ReferralsPath, 112 + 8 + 12, enforce(Bytes::ioctl(0x60194, &referrals().with16(20, 33).0))),
        (ReparseShort, 112 + 7, enforce(Bytes::ioctl(0x900a8, &[0; 7]))),
        (ReparseDataOutside, 112 + 4, enforce(Bytes::ioctl(0x900a8, &reparse(7, b"ab").with16(4, 3).0))),
        (ResumeKeyShort, 112 + 27, enforce(Bytes::ioctl(0x140078, &[0; 27]))),
        (RangesPartial, 112 + 17, enforce(Bytes::ioctl(0x940cf, &[0; 17]))),
    ]
}
