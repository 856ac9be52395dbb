// SPDX-License-Identifier: GPL-2.0
//! Draws what is judged: something well-formed, then spoilt in up to four places or cut short.

use crate::bytes::{
    Bytes, attribute, challenge, descriptor, entry, error_context, interface, link, negotiate,
    negotiate_context, nfs_point, posix_entry, read, referrals, reparse, session_setup, sid, stopped,
    symlink_point, wsl_attributes,
};
use crate::replies::{Random, mutated};

/// What is drawn.
#[derive(Clone, Copy)]
pub(crate) enum Spoil {
    /// Any message.
    Message,
    /// A CREATE reply.
    Create,
    /// An error reply with a symbolic link.
    Link,
    /// A NEGOTIATE reply.
    Negotiate,
    /// An NTLM challenge.
    Challenge,
    /// A READ reply.
    Read,
    /// A reply with an output, of any command that has one but IOCTL.
    Output,
    /// A list of extended attributes.
    Attributes,
    /// A QUERY_INFO reply with WSL's attributes.
    Wsl,
    /// A QUERY_INFO reply with POSIX information.
    Posix,
    /// A security descriptor.
    Security,
    /// Entries of a directory.
    Entries,
    /// Network interfaces.
    Interfaces,
    /// DFS referrals.
    Referrals,
    /// An IOCTL reply with a reparse point.
    Reparse,
}

/// Draws one.
pub(crate) fn draw(what: Spoil, random: &mut Random) -> Vec<u8> {
    if let (Spoil::Create, true) = (what, random.below(8) > 0) {
        return mutated(random);
    }
    let sound = sound(what, random);
    // Where the fields are that make or break it; spoiling only headers would prove little.
    let from = match what {
        Spoil::Message => 0,
        Spoil::Reparse if random.below(4) > 0 => 96,
        Spoil::Link | Spoil::Negotiate | Spoil::Output | Spoil::Wsl | Spoil::Posix | Spoil::Read => 64,
        Spoil::Create | Spoil::Reparse => 64,
        _ => 0,
    };
    spoilt(sound, from.min(64 + 48), random)
}

/// Spoils up to four fields from `from` on, and now and then cuts it short or adds to it.
fn spoilt(mut bytes: Vec<u8>, from: usize, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(5) {
        let room = bytes.len().saturating_sub(from);
        if room < 4 {
            break;
        }
        // Most fields stand at even places, and most that matter not far from the start.
        let span = if random.below(2) == 0 { room - 3 } else { (room - 3).min(48) };
        let at = from + (random.below(span) & !usize::from(random.below(8) > 0));
        let value = random.awkward(u32::try_from(room).unwrap()).to_le_bytes();
        let width = [1, 2, 2, 4][random.below(4)];
        bytes[at..at + width].copy_from_slice(&value[..width]);
    }
    match random.below(12) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => bytes.truncate(bytes.len().saturating_sub(random.below(12))),
        2 => bytes.extend(std::iter::repeat_n(0x5a, random.below(40))),
        _ => {}
    }
    bytes
}

/// Something well-formed.
fn sound(what: Spoil, random: &mut Random) -> Vec<u8> {
    let text = ["", "a", "name", "dir\\file", "a\0b"][random.below(5)];
    let wide = Bytes::new().utf16(text).0;
    match what {
        Spoil::Message => message(random),
        Spoil::Create => mutated(random),
        Spoil::Link => links(&wide, random),
        Spoil::Negotiate => negotiates(random),
        Spoil::Challenge => challenge(&[7; 40][..random.below(41)]).0,
        Spoil::Read => read(&[7; 100][..random.below(101)]).0,
        Spoil::Output => {
            let command = [0x0e, 0x0f, 0x10][random.below(3)];
            Bytes::output(command, &[7; 120][..random.below(121)]).0
        }
        Spoil::Attributes => attributes(random),
        // Up to a byte more than the four of them can take.
        Spoil::Wsl => {
            let list = wsl_attributes();
            let most = 86 - list.len();
            Bytes::output(0x10, &Bytes(list).zeros(random.below(most)).0).0
        }
        Spoil::Posix => {
            let info = Bytes::new().zeros(80).text(&sids(random)).text(&sids(random));
            Bytes::output(0x10, &info.0).0
        }
        Spoil::Security => {
            // The owner at the end, where there is room for one of any length.
            let descriptor = descriptor();
            let end = u32::try_from(descriptor.0.len()).unwrap();
            descriptor.with32([4, 8][random.below(2)], end).text(&sids(random)).0
        }
        Spoil::Entries => entries(random),
        Spoil::Interfaces => {
            let more = random.below(4);
            let list = (0..more).fold(Bytes::new(), |list, _| list.text(&interface(152)));
            list.text(&interface(0)).0
        }
        Spoil::Referrals => {
            let count = [2, 2, 2, 1, 0][random.below(5)];
            referrals().with16(2, count).0
        }
        Spoil::Reparse => reparse_points(text, &wide, random),
    }
}

/// A message of any command.
fn message(random: &mut Random) -> Vec<u8> {
    let kinds = [
        Spoil::Create,
        Spoil::Link,
        Spoil::Negotiate,
        Spoil::Read,
        Spoil::Output,
        Spoil::Wsl,
        Spoil::Reparse,
    ];
    let status = [0, 0, 0xc000_0022, 0x103][random.below(4)];
    let size = [4u16, 9, 16, 17, 24, 36, 44, 60, 89, 2][random.below(10)];
    let command = u16::try_from(random.below(20)).unwrap();
    match random.below(10) {
        0 => session_setup(&challenge(b"target").0).0,
        1..4 => {
            let right = [65, 9, 4, 16, 4, 89, 60, 4, 17, 17, 4, 49, 0, 4, 9, 9, 9, 2, 24, 0];
            let size = if random.below(2) == 0 { size } else { right[usize::from(command)] };
            Bytes::reply(command, status).le16(size).zeros(usize::from(size.saturating_sub(2))).0
        }
        _ => sound(kinds[random.below(kinds.len())], random),
    }
}

/// A SID, now and then with as many parts as there may be, or one more, or none.
fn sids(random: &mut Random) -> Vec<u8> {
    let parts = [1, 2, 3, 5, 0, 15, 16][random.below(7)];
    sid(&[21; 16][..parts])
}

fn links(wide: &[u8], random: &mut Random) -> Vec<u8> {
    let other = error_context(7, &[0; 40][..random.below(41)]);
    let padded = |mut context: Vec<u8>| {
        context.resize(context.len().next_multiple_of(8), 0);
        context
    };
    let last = error_context(0, &link(wide).0);
    match random.below(5) {
        0 => stopped(0, &[]).byte(0).0,
        1 => stopped(0, &link(wide).0).0,
        2 => stopped(1, &last).0,
        3 => stopped(2, &[padded(other), last].concat()).0,
        _ => stopped(1, &[padded(other.clone()), padded(other), last].concat()).0,
    }
}

fn negotiates(random: &mut Random) -> Vec<u8> {
    let hash = Bytes::new().le16(1).le16(32).le16(1).zeros(32).0;
    let mut contexts = Vec::new();
    let count = random.below(5);
    for _ in 0..count {
        contexts.extend(match random.below(5) {
            0 => negotiate_context(1, &hash),
            1 | 2 => negotiate_context(2, &[1, 0, 2, 0]),
            3 => negotiate_context(3, &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0]),
            _ => negotiate_context(8, &[1, 0, 1, 0]),
        });
    }
    let reply = negotiate(u16::try_from(count).unwrap(), &contexts);
    match random.below(8) {
        // A security blob that ends at an odd place, and contexts after it.
        0 => {
            let length = [65u16, 63, 66][random.below(3)];
            let end = (128 + length).next_multiple_of(8);
            let head = reply.with16(122, length).with32(124, end.into()).cut(128);
            head.zeros(usize::from(end) - 128).text(&contexts).0
        }
        _ => reply.0,
    }
}

fn attributes(random: &mut Random) -> Vec<u8> {
    let mut list = Bytes::new();
    for _ in 0..random.below(4) {
        let name = ["one", "two", "three", "x"][random.below(4)];
        let value = &[9u8; 12][..random.below(13)];
        let len = attribute(0, name, value).len();
        let next = len.next_multiple_of(4);
        list = list.text(&attribute(u32::try_from(next).unwrap(), name, value)).zeros(next - len);
    }
    list.text(&attribute(0, "two", b"last")).0
}

fn entries(random: &mut Random) -> Vec<u8> {
    let posix = random.below(2) == 0;
    let one = |next: u32, name: &str| if posix { posix_entry(next, name) } else { entry(next, name) };
    let mut list = Bytes::new();
    for _ in 0..random.below(4) {
        let name = ["a", "bc", "a longer name"][random.below(3)];
        let len = one(0, name).len();
        let next = (len + 20).next_multiple_of(8);
        list = list.text(&one(u32::try_from(next).unwrap(), name)).zeros(next - len);
    }
    list.text(&one(0, "last")).zeros(random.below(30)).0
}

fn reparse_points(text: &str, wide: &[u8], random: &mut Random) -> Vec<u8> {
    let point = match random.below(8) {
        0 | 1 => symlink_point(text),
        2 => nfs_point(0x014b_4e4c, wide),
        // Now and then too long for its kind.
        3 => nfs_point([0x0052_4843, 0x004b_4c42][random.below(2)], &[0; 10][..8 + random.below(3)]),
        4 => nfs_point([0x4f46_4946, 0x4b43_4f53][random.below(2)], &[0; 1][..random.below(2)]),
        5 => reparse(0xa000_001d, &Bytes::new().le32(2).text(text.as_bytes()).0),
        6 => reparse([0x8000_0023, 0x8000_0024, 0x8000_0026][random.below(3)], b""),
        _ => reparse(0xdead_beef, b"whatever"),
    };
    Bytes::ioctl(0x0009_00a8, &point.0).0
}
