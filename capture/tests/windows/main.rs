// SPDX-License-Identifier: GPL-2.0
//! Honest replies of Windows servers, after MS-SMB2, MS-FSCC, MS-DFSC and MS-NLMP: none is
//! rejected, in no dialect, and which of them Linux's client does not take is told apart.

mod answering;
mod asking;
#[path = "../../../module/verify/tests/bytes/mod.rs"]
mod bytes;
#[path = "../connection/mod.rs"]
mod connection;

use answering::{Row, rows};
use capture::{Link, Reply, ReplyVerdict, Survey};
use connection::opened;
use verify::{Client, Level, Malformed, Rule};

const DIALECTS: [u16; 5] = [0x202, 0x210, 0x300, 0x302, 0x311];

/// The rules that a reply is never judged by here: by what a request for it alone would tell of its
/// output, and by what a decrypted compound would.
const ELSEWHERE: [&str; 15] = [
    "info-short",
    "directory-entry-outside",
    "directory-name-outside",
    "directory-next-in-entry",
    "directory-posix",
    "create-posix-short",
    "ranges-none",
    "referrals-consumed",
    "reparse-nfs-size",
    "reparse-name-outside",
    "reparse-wsl-target",
    "reparse-not-empty",
    "compound-next-outside",
    "compound-too-many",
    "posix-",
];
const ELSEWHERE_TOO: [&str; 4] = ["ea-", "wsl-", "security-", "target-"];

/// What is said of the replies of a row, in a dialect: with all that was sent before, or as the
/// only thing that was captured.
fn judge(row: &Row, dialect: u16, client: Client, from_the_beginning: bool) -> Vec<Reply> {
    let (mut to, mut from, mut packets) = opened();
    let is_negotiation = row.answer.get(12) == Some(&0);
    if from_the_beginning {
        if !is_negotiation {
            packets.push(to.send(&asking::negotiate(dialect, 0xff, &[2, 1]).0));
            packets.push(from.send(&answering::negotiate(dialect, &[]).0));
        }
        packets.extend(row.asked.iter().filter(|asked| !asked.is_empty()).map(|asked| to.send(asked)));
    }
    packets.extend(from.send_long(&row.answer));
    let mut survey = Survey::new(445, true).asked_by(client);
    for (number, packet) in (1..).zip(&packets) {
        survey.packet(0, number, Link::Ip, packet);
    }
    let (_, totals, found) = survey.finish();
    assert_eq!((totals.incomplete, totals.foreign), (0, 0), "{}", row.what);
    let skip = usize::from(from_the_beginning && !is_negotiation);
    found.into_iter().skip(skip).map(|found| found.reply).collect()
}

/// Every row in every dialect that it is sent in.
fn each(mut judge: impl FnMut(&Row, u16)) {
    for row in rows() {
        let dialects: Vec<_> =
            DIALECTS.into_iter().filter(|dialect| row.dialects.contains(dialect)).collect();
        assert!(!dialects.is_empty(), "{}", row.what);
        dialects.into_iter().for_each(|dialect| judge(&row, dialect));
    }
}

/// What is wrong with one of the replies, if anything is.
fn wrong(replies: &[Reply]) -> Option<ReplyVerdict> {
    assert!(!replies.is_empty());
    replies.iter().map(|reply| reply.verdict).find(|verdict| *verdict != ReplyVerdict::Sound)
}

#[test]
fn no_honest_reply_is_rejected() {
    each(|row, dialect| {
        let verdict = wrong(&judge(row, dialect, Client::Any, true));
        let linux = matches!(verdict, Some(ReplyVerdict::Linux(broken)) if row.edges.contains(&broken.rule));
        assert!(if row.linux { verdict.is_none() } else { linux }, "{}, {dialect:#x}: {verdict:?}", row.what);
    });
}

#[test]
fn no_honest_reply_is_rejected_without_its_request() {
    each(|row, dialect| {
        let verdict = wrong(&judge(row, dialect, Client::Any, false));
        let fine = matches!(verdict, None | Some(ReplyVerdict::Linux(_)));
        assert!(fine, "{}, {dialect:#x}: {verdict:?}", row.what);
    });
}

#[test]
fn what_linux_takes_is_sound_if_it_asked() {
    each(|row, dialect| {
        let verdict = wrong(&judge(row, dialect, Client::Kernel, true));
        let of_linux = |verdict: &ReplyVerdict| match verdict {
            ReplyVerdict::Rejected(Malformed { rule, .. }) => {
                !row.linux && row.edges.contains(rule) && rule.level() == Level::Enforce
            }
            // Longer than that client asks for, which it makes nothing of.
            ReplyVerdict::Strict(Malformed { rule, .. }) => *rule == Rule::ReplyDataIgnored,
            _ => false,
        };
        let fine = verdict.as_ref().map_or(row.linux, of_linux);
        assert!(fine, "{}, {dialect:#x}: {verdict:?}", row.what);
    });
}

#[test]
fn every_rule_has_an_honest_reply_at_its_edge() {
    let rows = rows();
    let elsewhere = |name: &str| {
        ELSEWHERE.contains(&name)
            || ELSEWHERE
                .iter()
                .chain(&ELSEWHERE_TOO)
                .any(|group| group.ends_with('-') && name.starts_with(group))
    };
    for rule in Rule::ALL {
        let has = rows.iter().any(|row| row.edges.contains(&rule));
        assert!(has != elsewhere(rule.name()), "{}", rule.name());
    }
}
