// SPDX-License-Identifier: GPL-2.0
//! What is judged of the output of a reply whose request is known.

use crate::bytes::{
    attribute, descriptor, entry, interface, link, nfs_point, posix_entry, referrals, reparse, sid, stopped,
    symlink_point, wsl_attributes, Bytes,
};
use crate::{Accepted, Rejected};
use verify::directory::Class;
use verify::security::Use;
use verify::Level::{Enforce, Strict};
use verify::{Content, Level, Malformed, Rule};

/// The verdict on an output by itself: it is put into a reply, and the offset taken back to it.
fn judge(content: Content<'_>, output: &[u8], level: Level) -> Result<(), Malformed> {
    let (reply, start) = match content {
        Content::Interfaces
        | Content::Referrals(_)
        | Content::Reparse
        | Content::ResumeKey
        | Content::Ranges(_) => (Bytes::ioctl(0, output), 112),
        Content::Directory(_) => (Bytes::output(0x0e, output), 72),
        _ => (Bytes::output(0x10, output), 72),
    };
    content.verify(&reply.0, level).map_err(|broken| Malformed { offset: broken.offset - start, ..broken })
}

/// Two attributes, the first filled up to a multiple of 4.
fn attributes() -> Bytes {
    Bytes::new().text(&attribute(16, "one", b"1234")).text(&attribute(0, "two", b""))
}

/// POSIX information with two SIDs.
fn posix() -> Bytes {
    Bytes::new().zeros(80).text(&sid(&[22, 1])).text(&sid(&[22, 2]))
}

/// Three entries of a directory.
fn entries() -> Bytes {
    Bytes::new().text(&entry(72, "a")).zeros(6).text(&entry(72, "bc")).zeros(4).text(&entry(0, "def"))
}

/// Two entries of the POSIX extensions.
fn posix_entries() -> Bytes {
    Bytes::new().text(&posix_entry(136, "ab")).zeros(8).text(&posix_entry(0, "c"))
}

const LINK: u64 = 0x014b_4e4c;
const CHARACTER: u64 = 0x0052_4843;
const FIFO: u64 = 0x4f46_4946;

pub(crate) fn accepted() -> Vec<Accepted> {
    let strict = |content, output: Bytes| judge(content, &output.0, Strict);
    let enforce = |content, output: Bytes| judge(content, &output.0, Enforce);
    let name = Bytes::new().utf16("name").0;
    vec![
        ("enough", strict(Content::AtLeast(24), Bytes::new().zeros(24))),
        ("attributes", strict(Content::Attributes(None), attributes())),
        ("no attributes", strict(Content::Attributes(None), Bytes::new().zeros(8))),
        ("an attribute found before a malformed one", {
            strict(Content::Attributes(Some(b"one")), attributes().with32(0, 3))
        }),
        ("an attribute within another", enforce(Content::Attributes(None), attributes().with32(0, 12))),
        ("WSL's attributes", strict(Content::WslAttributes, Bytes(wsl_attributes()))),
        ("POSIX information", strict(Content::Posix, posix())),
        ("a descriptor", strict(Content::Security(Use::Rewritten), descriptor())),
        ("a descriptor without list", strict(Content::Security(Use::Rewritten), descriptor().with32(16, 0))),
        ("a malformed list that is only mapped", {
            enforce(Content::Security(Use::Mapped), descriptor().with16(50, 7))
        }),
        ("entries", strict(Content::Directory(Class::Directory), entries())),
        ("POSIX entries", strict(Content::Directory(Class::Posix), posix_entries())),
        ("entries cut short", enforce(Content::Directory(Class::Directory), entries().cut(80))),
        ("two interfaces", strict(Content::Interfaces, Bytes(interface(152)).text(&interface(0)))),
        ("no interfaces", strict(Content::Interfaces, Bytes::new())),
        ("an interface and an end", enforce(Content::Interfaces, Bytes(interface(152)).zeros(8))),
        ("referrals", strict(Content::Referrals(4), referrals())),
        ("no referrals", strict(Content::Referrals(4), referrals().with16(2, 0))),
        ("a symbolic link", strict(Content::Reparse, symlink_point("a\\b"))),
        ("an NFS link", strict(Content::Reparse, nfs_point(LINK, &name))),
        ("an NFS device", strict(Content::Reparse, nfs_point(CHARACTER, &[0; 8]))),
        ("an NFS FIFO", strict(Content::Reparse, nfs_point(FIFO, &[]))),
        ("a WSL link", strict(Content::Reparse, reparse(0xa000_001d, b"\x02\0\0\0/x"))),
        ("a WSL FIFO", strict(Content::Reparse, reparse(0x8000_0024, b""))),
        ("a reparse point nobody knows", strict(Content::Reparse, reparse(0xdead, b"beef"))),
        ("a resume key", strict(Content::ResumeKey, Bytes::new().zeros(28))),
        ("ranges", strict(Content::Ranges(true), Bytes::new().zeros(16))),
        ("no ranges", strict(Content::Ranges(false), Bytes::new())),
        ("none of more ranges", judge(Content::Ranges(true), &[], Enforce)),
        ("a link to follow", Content::Symlink.verify(&stopped(0, &link(&name).0).0, Strict)),
    ]
}

pub(crate) fn rejected() -> Vec<Rejected> {
    [attributes_rejected(), files_rejected(), lists_rejected(), points_rejected()].concat()
}

fn attributes_rejected() -> Vec<Rejected> {
    use Rule::{
        EaNextInEntry, EaNextInHeader, EaNextOutside, EaOutside, EaShort, EaTrailing, WslNextMisaligned,
        WslOutside, WslSize, WslValue,
    };
    let list = |output: Bytes, level| judge(Content::Attributes(None), &output.0, level);
    let wsl = |output: Bytes| judge(Content::WslAttributes, &output.0, Enforce);
    let four = || Bytes(wsl_attributes());
    vec![
        (EaShort, 7, list(Bytes::new().zeros(7), Enforce)),
        (EaOutside, 16, list(attributes().with(16 + 5, &[4]), Enforce)),
        (EaOutside, 0, list(attributes().with16(6, u16::MAX), Enforce)),
        (EaNextInHeader, 0, list(attributes().with32(0, 7), Enforce)),
        (EaNextOutside, 0, list(attributes().with32(0, 29), Enforce)),
        (EaNextOutside, 0, list(attributes().with32(0, u32::MAX), Enforce)),
        (EaTrailing, 21, list(attributes().with32(0, 21), Enforce)),
        (EaNextInEntry, 0, list(attributes().with32(0, 12), Strict)),
        (WslSize, 62, wsl(four().cut(62))),
        (WslSize, 85, wsl(four().zeros(85 - 71))),
        (WslOutside, 0, wsl(four().with(5, &[5]))),
        (WslOutside, 20, wsl(four().with16(26, 40))),
        (WslOutside, 60, wsl(four().with32(40, 20))),
        (WslValue, 0, wsl(four().with16(6, 3))),
        (WslValue, 20, wsl(four().with(28, b"@"))),
        (WslNextMisaligned, 0, wsl(four().with32(0, 21))),
    ]
}

fn files_rejected() -> Vec<Rejected> {
    use Rule::{
        DirectoryEntryOutside, DirectoryNameOutside, DirectoryNextInEntry, DirectoryPosix, DirectoryShort,
        InfoShort, PosixGroup, PosixOwner, PosixShort, SecurityEntryCount, SecurityEntryOutside,
        SecurityGroup, SecurityListOffset, SecurityListOutside, SecurityOwner, SecurityShort,
    };
    let posix = |output: Bytes| judge(Content::Posix, &output.0, Enforce);
    let sd = |output: Bytes| judge(Content::Security(Use::Rewritten), &output.0, Enforce);
    let plain = |output: Bytes, level| judge(Content::Directory(Class::Directory), &output.0, level);
    let of_posix = |output: Bytes| judge(Content::Directory(Class::Posix), &output.0, Strict);
    vec![
        (InfoShort, 23, judge(Content::AtLeast(24), &[0; 23], Enforce)),
        (PosixShort, 80, posix(self::posix().cut(80))),
        (PosixOwner, 80, posix(self::posix().cut(81))),
        (PosixOwner, 80, posix(self::posix().with(81, &[0]))),
        (PosixOwner, 80, posix(self::posix().with(81, &[16]))),
        (PosixGroup, 96, posix(self::posix().cut(111))),
        (SecurityShort, 19, sd(descriptor().cut(19))),
        (SecurityOwner, 4, sd(descriptor().with32(4, 0))),
        (SecurityOwner, 4, sd(descriptor().with(21, &[16]))),
        (SecurityGroup, 8, sd(descriptor().with32(8, u32::MAX))),
        (SecurityGroup, 8, sd(descriptor().with32(8, 100 - 7))),
        (SecurityListOffset, 16, sd(descriptor().with32(16, 19))),
        (SecurityListOffset, 16, sd(descriptor().with32(16, u32::MAX - 3))),
        (SecurityListOutside, 48 + 2, sd(descriptor().with16(50, 53))),
        (SecurityEntryCount, 48 + 4, sd(descriptor().with16(52, 3))),
        (SecurityEntryOutside, 48 + 8, sd(descriptor().with(56 + 9, &[0]))),
        (SecurityEntryOutside, 48 + 28, sd(descriptor().with16(56 + 22, 25))),
        (DirectoryShort, 63, plain(entries().cut(63), Enforce)),
        (DirectoryEntryOutside, 72, plain(entries().cut(72 + 63), Strict)),
        (DirectoryEntryOutside, 72 + 4096, plain(entries().with32(72, 4096), Strict)),
        (DirectoryNameOutside, 144, plain(entries().with32(144 + 60, 7), Strict)),
        (DirectoryNameOutside, 0, plain(entries().with32(60, u32::MAX), Strict)),
        (DirectoryNextInEntry, 0, plain(entries().with32(0, 65), Strict)),
        (DirectoryPosix, 0, of_posix(posix_entries().with(89, &[0]))),
        (DirectoryPosix, 136, of_posix(posix_entries().with32(136 + 88 + 32, 0))),
    ]
}

fn lists_rejected() -> Vec<Rejected> {
    use Rule::{
        InterfacesNextInEntry, InterfacesNextOutside, InterfacesShort, InterfacesTrailing, IoctlLong,
        RangesNone, RangesPartial, ReferralsConsumed, ReferralsCount, ReferralsPath, ReferralsShort,
        ReferralsTarget, ReferralsVersion, ResumeKeyShort,
    };
    let faces = |output: Bytes, level| judge(Content::Interfaces, &output.0, level);
    let dfs = |output: Bytes| judge(Content::Referrals(4), &output.0, Enforce);
    let two = |next| Bytes(interface(next)).text(&interface(0));
    vec![
        (InterfacesShort, 151, faces(Bytes(interface(0)).cut(151), Enforce)),
        (InterfacesNextInEntry, 0, faces(two(151), Enforce)),
        (InterfacesNextOutside, 0, faces(two(305), Enforce)),
        (InterfacesNextOutside, 0, faces(two(u32::MAX), Enforce)),
        (InterfacesTrailing, 160, faces(two(160), Strict)),
        (IoctlLong, 0, faces(Bytes::new().zeros(0xff01), Enforce)),
        (ReferralsShort, 7, dfs(referrals().cut(7))),
        (ReferralsCount, 2, dfs(referrals().with16(2, 4))),
        (ReferralsCount, 2, dfs(referrals().with16(2, u16::MAX))),
        (ReferralsVersion, 8, dfs(referrals().with16(8, 4))),
        (ReferralsConsumed, 0, dfs(referrals().with16(0, 11))),
        (ReferralsPath, 8 + 12, dfs(referrals().with16(20, 0))),
        (ReferralsTarget, 8 + 16, dfs(referrals().with16(24, u16::MAX))),
        (ReferralsTarget, 42 + 16, dfs(referrals().with16(58, 33))),
        (ResumeKeyShort, 27, judge(Content::ResumeKey, &[0; 27], Enforce)),
        (RangesPartial, 15, judge(Content::Ranges(false), &[0; 15], Enforce)),
        (RangesNone, 0, judge(Content::Ranges(true), &[], Strict)),
    ]
}

fn points_rejected() -> Vec<Rejected> {
    use Rule::{
        ReparseDataOutside, ReparseNameOutside, ReparseNfsSize, ReparseNotEmpty, ReparseShort,
        ReparseWslTarget, TargetLength, TargetNul,
    };
    let point = |output: Bytes| judge(Content::Reparse, &output.0, Enforce);
    let follow = |target: &[u8]| Content::Symlink.verify(&stopped(0, &link(target).0).0, Enforce);
    vec![
        (ReparseShort, 7, point(symlink_point("x").cut(7))),
        (ReparseDataOutside, 4, point(symlink_point("x").with16(4, 15))),
        (ReparseNfsSize, 8 + 7, point(reparse(0x8000_0014, &[0; 7]))),
        (ReparseNfsSize, 8 + 8, point(nfs_point(CHARACTER, &[0; 7]))),
        (ReparseNfsSize, 8 + 8, point(nfs_point(FIFO, &[0; 1]))),
        (ReparseNameOutside, 8, point(symlink_point("x").with16(8, 1))),
        (ReparseNameOutside, 8, point(reparse(0xa000_000c, &[0; 11]))),
        (ReparseWslTarget, 8, point(reparse(0xa000_001d, b"\x02\0\0\0"))),
        (ReparseWslTarget, 8, point(reparse(0xa000_001d, b"\x01\0\0\0/x"))),
        (ReparseNotEmpty, 4, point(reparse(0x8000_0025, b"x"))),
        (TargetLength, 20, point(symlink_point(""))),
        (TargetLength, 16 + 3, point(nfs_point(LINK, b"odd"))),
        (TargetLength, 72 + 28 + 3, follow(b"odd")),
        (TargetNul, 20, point(symlink_point("a\0b"))),
        (TargetNul, 12, point(reparse(0xa000_001d, b"\x02\0\0\0/\0x"))),
        (TargetNul, 72 + 28, follow(b"a\0\0\0")),
    ]
}
