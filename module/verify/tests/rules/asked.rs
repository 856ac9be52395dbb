// SPDX-License-Identifier: GPL-2.0
//! What hangs on who asked, and for what: for each premise an answer that one client may get and
//! another may not.

use crate::bytes::{challenge, interface, negotiate, negotiate_context, referrals, session_setup, Bytes};
use crate::verify_asked;
use verify::asked::Ciphers;
use verify::Level::Enforce;
use verify::{Asked, Client, Request, Rule};

/// An answer, who asked for what, and the rule that it breaks then, if any.
type Case = (&'static str, Bytes, Asked, Option<Rule>);

const GUARDED: Asked = Asked::guarded();
const KERNEL: Asked = Asked::by_kernel();
const UNKNOWN: Asked = Asked::by_anybody(Request::Unknown);

fn holds(cases: Vec<Case>) {
    for (what, answer, asked, rule) in cases {
        let found = verify_asked(&answer.0, asked, Enforce).err().map(|broken| broken.rule);
        assert_eq!(found, rule, "{what}: {asked:?}");
    }
}

#[test]
fn a_cipher_is_one_that_was_offered_or_that_the_kernel_offers() {
    let chosen = |cipher| negotiate(1, &negotiate_context(2, &[1, 0, cipher, 0]));
    let offered = |ciphers: &[u16]| {
        let set = ciphers.iter().fold(Ciphers::none(), |set, cipher| set.with(*cipher));
        Asked::by_anybody(Request::Negotiate(set))
    };
    let unknown = Some(Rule::NegotiateCipherUnknown);
    holds(vec![
        ("AES-256-CCM", chosen(3), GUARDED, unknown),
        ("AES-256-CCM", chosen(3), KERNEL, unknown),
        ("AES-256-CCM", chosen(3), UNKNOWN, None),
        ("AES-256-CCM", chosen(3), offered(&[3]), None),
        ("AES-256-CCM", chosen(3), offered(&[1, 2, 4]), unknown),
        ("one of 64 and more", chosen(0x7f), offered(&[0x7f]), unknown),
        ("none", chosen(0), offered(&[3]), None),
        ("AES-256-GCM", chosen(4), GUARDED, None),
    ]);
}

#[test]
fn a_challenge_is_judged_if_ntlm_as_it_is_was_offered() {
    let asked = |raw_ntlm| Request::SessionSetup { raw_ntlm };
    let by = |client, raw_ntlm| Asked { client, request: asked(raw_ntlm) };
    let spnego = || session_setup(b"\xa1\x07\x30\x05\xa0\x03\x0a\x01\x01");
    let spoilt = || session_setup(&challenge(b"").with(0, b"M").0);
    let short = Some(Rule::ChallengeShort);
    let signature = Some(Rule::ChallengeSignature);
    holds(vec![
        // With Kerberos the kernel's client is answered so.
        ("SPNEGO", spnego(), GUARDED, None),
        ("SPNEGO", spnego(), KERNEL, short),
        ("SPNEGO", spnego(), UNKNOWN, None),
        ("SPNEGO", spnego(), by(Client::Guarded, true), short),
        ("no challenge", spoilt(), GUARDED, signature),
        ("no challenge", spoilt(), by(Client::Any, true), signature),
        ("no challenge", spoilt(), by(Client::Any, false), None),
    ]);
}

/// A referral of this version and size, with these flags and fields from the twelfth byte on, and
/// so many bytes behind it.
fn referral(version: u16, size: u16, flags: u16, fields: [u16; 3], behind: usize) -> Bytes {
    let list = Bytes::new().le16(0).le16(1).le32(0).le16(version).le16(size).le16(0).le16(flags).le32(0);
    let list =
        fields.into_iter().fold(list, Bytes::le16).zeros(usize::from(size).saturating_sub(18) + behind);
    Bytes::ioctl(0x0006_0194, &list.0)
}

#[test]
fn referrals_are_of_a_version_that_was_asked_for() {
    let up_to = |level| Asked::by_anybody(Request::Referrals { level, most: 1 << 16 });
    let of = |version| referral(version, 34, 0, [34, 34, 34], 8);
    let version = Some(Rule::ReferralsVersion);
    holds(vec![
        ("version 4", of(4), KERNEL, version),
        // The client looks at that itself, in every kernel; a program may have asked for it.
        ("version 4", of(4), GUARDED, None),
        ("version 4", of(4), UNKNOWN, None),
        ("version 4", of(4), up_to(4), None),
        ("version 4", of(4), up_to(3), version),
        ("version 5", of(5), up_to(9), None),
        ("version 5", of(5), UNKNOWN, version),
        ("version 0", of(0), UNKNOWN, version),
        ("version 3", of(3), up_to(1), None),
    ]);
}

#[test]
fn a_list_of_names_has_its_own_layout() {
    const LIST: u16 = 2;
    let path = Some(Rule::ReferralsPath);
    let target = Some(Rule::ReferralsTarget);
    let count = Some(Rule::ReferralsCount);
    let each = |what, answer: &dyn Fn() -> Bytes, [kernel, guarded, anybody]: [Option<Rule>; 3]| {
        [(KERNEL, kernel), (GUARDED, guarded), (UNKNOWN, anybody)]
            .map(|(asked, rule)| (what, answer(), asked, rule))
    };
    let cases = [
        each("no names", &|| referral(3, 34, LIST, [34, 0, 0], 8), [target, None, None]),
        each("no names, but a list", &|| referral(3, 34, 0, [34, 0, 0], 8), [target, target, target]),
        each("no name of its own", &|| referral(3, 34, LIST, [0, 0, 0], 8), [path, None, path]),
        each("a name behind the end", &|| referral(3, 34, LIST, [43, 0, 0], 8), [path, path, path]),
        each("names behind the end", &|| referral(3, 34, LIST, [34, 1, 43], 8), [target, target, target]),
        each("nameless behind the end", &|| referral(3, 34, LIST, [34, 0, 43], 8), [target, target, None]),
        each("18 bytes", &|| referral(3, 18, LIST, [18, 0, 0], 24), [path, None, None]),
        // The kernel's client would read past its end.
        each("18 bytes, and few behind", &|| referral(3, 18, LIST, [18, 0, 0], 15), [count, count, None]),
        each("17 bytes", &|| referral(3, 17, LIST, [18, 0, 0], 24), [path, None, count]),
        each(
            "longer than all",
            &|| referral(3, 34, LIST, [34, 0, 0], 8).with16(122, 43),
            [target, None, count],
        ),
    ];
    holds(cases.into_iter().flatten().collect());
    // What the kernel's client takes, nobody refuses: it goes by no size.
    let odd = Bytes::ioctl(0x0006_0194, &referrals().with16(10, 7).0);
    holds(vec![("no size", odd.clone(), KERNEL, None), ("no size", odd, UNKNOWN, None)]);
}

#[test]
fn notifications_come_to_who_takes_them() {
    let closed = || Bytes::reply(0x13, 0).le16(4).le16(0).le32(0).le32(0);
    let taking = |notifications| Asked::by_anybody(Request::Unasked { notifications });
    let command = Some(Rule::HeaderCommand);
    holds(vec![
        ("a closed session", closed(), GUARDED, command),
        ("a closed session", closed(), KERNEL, command),
        ("a closed session", closed(), UNKNOWN, None),
        ("a closed session", closed(), taking(true), None),
        ("a closed session", closed(), taking(false), command),
        ("an unknown command", closed().with16(12, 0x14), taking(true), command),
        ("a notification of another size", closed().with16(64, 5), taking(true), Some(Rule::ReplySize)),
    ]);
}

#[test]
fn entries_are_as_short_as_their_class_allows() {
    let listed = |len| Bytes::output(0x0e, &vec![0; len]);
    let of = |class| Asked::by_anybody(Request::Directory { class, most: 1 << 16 });
    let short = Some(Rule::DirectoryShort);
    holds(vec![
        ("a name", listed(14), GUARDED, short),
        ("a name", listed(14), of(0x0c), None),
        ("a name", listed(14), UNKNOWN, None),
        ("a name", listed(14), of(0x25), short),
        ("less than a name", listed(11), of(0x0c), short),
        ("nothing", listed(0), UNKNOWN, short),
    ]);
}

#[test]
fn what_only_the_kernels_parsers_refuse_is_left_to_them() {
    let many = Bytes(interface(152).repeat(431)).text(&interface(0)).0;
    let interfaces = || Bytes::ioctl(0x0014_01fc, &many);
    let nowhere = || Bytes::output(0x10, &[]).with16(66, 80);
    let moved = || session_setup(&[&[0; 8], &challenge(b"").0[..]].concat()).with16(68, 80).with16(70, 56);
    let raw = Asked::by_anybody(Request::SessionSetup { raw_ntlm: true });
    holds(vec![
        ("many interfaces", interfaces(), KERNEL, Some(Rule::IoctlLong)),
        ("many interfaces", interfaces(), GUARDED, None),
        ("many interfaces", interfaces(), UNKNOWN, None),
        ("no output, nowhere", nowhere(), KERNEL, Some(Rule::InfoOutside)),
        ("no output, nowhere", nowhere(), GUARDED, None),
        ("a blob further on", moved(), KERNEL, Some(Rule::SessionSetupBlobOffset)),
        ("a blob further on", moved(), GUARDED, Some(Rule::SessionSetupBlobOffset)),
        ("a blob further on", moved(), raw, None),
    ]);
}
