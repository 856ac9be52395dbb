// SPDX-License-Identifier: GPL-2.0
//! What the kernel's client asks for, as far as a rule hangs on it: on a machine, and not only by
//! its source. The guard rejects what this client never asks for; a request that is not as the
//! verifier takes it to be (`verify::asked`) is a reply that the guard would reject wrongly.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use guest::ShareStep;
use verify::{Cursor, Header, header};
use vm_protocol::Expect;
use xtask::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step};
use xtask::share as smb;

/// A share that refers to itself, as the root of a distributed file system, besides the usual one.
pub(crate) const SHARES: &[(&str, &str)] = &[(REFERRED, "msdfs root = yes")];
const REFERRED: &str = "referred";

/// How often [`ask`] mounts.
pub(crate) const MOUNTS: usize = 3;

/// What the client is told of AES-256-GCM: not to offer it, and to offer nothing else
/// (fs/smb/client/cifsfs.c).
const PARAMETERS: [(&str, &str); 2] = [("enable_gcm_256", "0"), ("require_gcm_256", "1")];

/// `FSCTL_DFS_GET_REFERRALS`.
const REFERRALS: u32 = 0x0006_0194;
/// The newest referrals there are, which a program asks for, and the client does not.
const NEWEST: u16 = 4;

/// Asks for what mounting a plain share, listing it, reading and writing does not: for referrals,
/// by itself and for a program, and with other ciphers to choose from.
pub(crate) fn ask(payload: &mut Payload, port: u16) {
    let at = "/mnt".to_owned();
    payload.mount_share(REFERRED, port, smb::OPTIONS, &at);
    let domains = [NEWEST.to_le_bytes(), [0, 0]].concat();
    // Whatever the server says to that: it is asked.
    payload.expect(
        ShareStep::Ask { path: "/mnt/long".to_owned(), code: REFERRALS, input: domains },
        Expect::Any,
    );
    payload.step(Step::Unmount { target: at.clone() });
    for (name, content) in PARAMETERS {
        let path = format!("/sys/module/cifs/parameters/{name}");
        payload.step(Step::WriteFile { path, content: content.to_owned() });
        payload.mount_share(smb::NAME, port, smb::OPTIONS, &at);
        payload.step(Step::Unmount { target: at.clone() });
    }
}

/// Of all requests in a capture, what the rules hang on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Dialects offered alone or with others.
    dialects: BTreeSet<u16>,
    /// Lists of ciphers.
    ciphers: BTreeSet<Vec<u16>>,
    /// Whether notifications are taken.
    notifications: BTreeSet<bool>,
    /// Whether security blobs are NTLM as it is.
    raw_ntlm: BTreeSet<bool>,
    /// Classes of directories' entries.
    classes: BTreeSet<u8>,
    /// The newest version of referrals, whether that is asked by itself, and how many parts the
    /// path has.
    referrals: BTreeSet<(u16, bool, usize)>,
    /// The longest output of any request, in bytes.
    longest: u32,
}

/// What the kernel's client asks is what the verifier takes it to ask.
pub(crate) fn are_as_the_verifier_takes_them(capture: &[u8]) -> Result<()> {
    let mut asked = Asked::default();
    for (at, _) in capture.windows(6).enumerate().filter(|(_, bytes)| *bytes == b"\xfeSMB\x40\0") {
        let message = Cursor::new(capture.get(at..).unwrap_or_default());
        if let Some(header) = Header::read(message).filter(|header| !header.reply) {
            note(&mut asked, message, header);
        }
    }
    eprintln!("the kernel's client: {asked:?}");
    let expected = Asked {
        dialects: BTreeSet::from([0x202, 0x210, 0x300, 0x302, 0x311]),
        ciphers: BTreeSet::from([vec![2, 4, 1], vec![2, 1], vec![4]]),
        notifications: BTreeSet::from([false]),
        raw_ntlm: BTreeSet::from([true]),
        classes: asked.classes.clone(),
        // For a program, whatever that one asks for.
        referrals: BTreeSet::from([(3, true, 2), (NEWEST, false, 0)]),
        longest: asked.longest,
    };
    ensure!(asked == expected, "not as the verifier takes it, which is {expected:?}: {asked:?}");
    ensure!(
        !asked.classes.is_empty() && asked.classes.is_subset(&BTreeSet::from([1, 2, 0x26, 0x64])),
        "{asked:?}"
    );
    ensure!((1..=128 * 1024).contains(&asked.longest), "{asked:?}");
    Ok(())
}

/// Notes what one request asks for.
fn note(asked: &mut Asked, message: Cursor<'_>, header: Header) {
    let noted = match header.command {
        header::NEGOTIATE => negotiate(asked, message),
        header::SESSION_SETUP => session_setup(asked, message),
        header::QUERY_DIRECTORY => message.byte(66).zip(message.le32(92)).map(|(class, most)| {
            asked.classes.insert(class);
            asked.longest = asked.longest.max(most);
        }),
        header::QUERY_INFO => message.le32(68).map(|most| asked.longest = asked.longest.max(most)),
        header::IOCTL => ioctl(asked, message),
        _ => Some(()),
    };
    noted.context("a request that is cut off").unwrap_or_else(|error| eprintln!("{error}"));
}

/// MS-SMB2 2.2.3.
fn negotiate(asked: &mut Asked, message: Cursor<'_>) -> Option<()> {
    let count = message.size16(66)?;
    asked.dialects.extend((0..count).filter_map(|nth| message.le16(100 + 2 * nth)));
    asked.notifications.insert(message.le32(72)? & 0x80 != 0);
    if (0..count).all(|nth| message.le16(100 + 2 * nth) != Some(0x311)) {
        return Some(());
    }
    let mut context = message.size32(92)?;
    for _ in 0..message.le16(96)? {
        let length = message.size16(context + 2)?;
        if message.le16(context)? == 2 {
            let ciphers = message.size16(context + 8)?;
            asked
                .ciphers
                .insert((0..ciphers).filter_map(|nth| message.le16(context + 10 + 2 * nth)).collect());
        }
        context += (8 + length).next_multiple_of(8);
    }
    Some(())
}

/// MS-SMB2 2.2.5.
fn session_setup(asked: &mut Asked, message: Cursor<'_>) -> Option<()> {
    let (place, length) = (message.size16(76)?, message.size16(78)?);
    if length > 0 {
        asked.raw_ntlm.insert(message.bytes(place, 8)? == b"NTLMSSP\0");
    }
    Some(())
}

/// MS-SMB2 2.2.31, MS-DFSC 2.2.2.
fn ioctl(asked: &mut Asked, message: Cursor<'_>) -> Option<()> {
    asked.longest = asked.longest.max(message.le32(108)?);
    if message.le32(68)? != REFERRALS {
        return Some(());
    }
    let (place, length) = (message.size32(88)?, message.size32(92)?);
    let path = message.bytes(place + 2, length.checked_sub(2)?)?;
    // Of a path with a server and a share in it, two backslashes.
    let parts = path.chunks_exact(2).filter(|unit| *unit == [b'\\', 0]).count();
    // A program's is in a compound, between opening and closing.
    let by_itself = message.le32(20)? == 0;
    asked.referrals.insert((message.le16(place)?, by_itself, parts));
    Some(())
}
