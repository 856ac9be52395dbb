// SPDX-License-Identifier: GPL-2.0
//! A table for each structure: what is accepted, and for each rule something that breaks it.

mod asked;
#[path = "../bytes/mod.rs"]
mod bytes;
mod contents;
mod create;
mod messages;
#[path = "../replies/mod.rs"]
mod replies;

use verify::{Asked, Level, Malformed, Rule};

/// Something that was verified, what it is, and the verdict.
type Accepted = (&'static str, Result<(), Malformed>);
/// Something that was verified, the rule it breaks, where, and the verdict.
type Rejected = (Rule, usize, Result<(), Malformed>);

/// What the whole verifier says of a message as the guard sees it, as a result.
fn verify(message: &[u8], level: Level) -> Result<(), Malformed> {
    verify_asked(message, Asked::guarded(), level)
}

/// The same of an answer to what was `asked`.
fn verify_asked(message: &[u8], asked: Asked, level: Level) -> Result<(), Malformed> {
    match verify::verify(message, asked, level) {
        verify::Outcome::Sound => Ok(()),
        verify::Outcome::Malformed(malformed) => Err(malformed),
        verify::Outcome::NotChecked => panic!("not checked: {message:02x?}"),
    }
}

#[test]
fn sound_messages_are_accepted() {
    for (what, verdict) in messages::accepted().into_iter().chain(contents::accepted()) {
        assert_eq!(verdict, Ok(()), "{what}");
    }
}

#[test]
fn every_rule_rejects() {
    let cases: Vec<Rejected> =
        messages::rejected().into_iter().chain(contents::rejected()).chain(create::rejected()).collect();
    for (rule, offset, verdict) in &cases {
        let expected = Err(Malformed { rule: *rule, offset: *offset });
        assert_eq!(*verdict, expected, "{}", rule.name());
    }
    for rule in Rule::ALL {
        assert!(cases.iter().any(|(covered, ..)| *covered == rule), "no case for {}", rule.name());
    }
}

#[test]
fn rules_have_distinct_names_and_know_their_place() {
    for (at, rule) in Rule::ALL.into_iter().enumerate() {
        assert_eq!(rule.index(), at);
        assert!(rule.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.name());
        assert!(!rule.section().contains(char::is_whitespace), "{}: a log line's word", rule.section());
        assert_eq!(Rule::ALL.iter().filter(|other| other.name() == rule.name()).count(), 1);
    }
}

#[test]
fn what_is_no_message_of_smb2_is_left_alone() {
    let sound = bytes::read(b"data").0;
    for (what, message) in [
        ("an encrypted message", [b"\xfd", &sound[1..]].concat()),
        ("a compressed message", [b"\xfc", &sound[1..]].concat()),
        ("a message of SMB1", [b"\xff", &sound[1..]].concat()),
        ("less than its first field", sound[..3].to_vec()),
        ("nothing", vec![]),
    ] {
        assert_eq!(
            verify::verify(&message, Asked::guarded(), Level::Strict),
            verify::Outcome::NotChecked,
            "{what}"
        );
    }
}
