// SPDX-License-Identifier: GPL-2.0
//! The verifier beside the client's own C, on the same bytes: generated replies, whole and spoilt.
//!
//! A million comparisons; ten million with `CIFS_FIX_LONG_TESTS` set. Without a kernel's source at
//! hand there is nothing to compare with, and the test is skipped and says so.

#[path = "../../../../module/verify/tests/bytes/mod.rs"]
mod bytes;
mod comparison;
mod disagreements;
#[path = "../../../../module/verify/tests/replies/mod.rs"]
mod replies;
mod samples;
mod unheard;

use std::collections::{BTreeMap, BTreeSet};

use comparison::{Comparison, KINDS};
use disagreements::DISAGREEMENTS;
use libtest_mimic::{Arguments, Trial};
use oracle::{Oracle, Question};
use replies::Random;
use unheard::UNHEARD;
use verify::{Level, Rule};

/// How many comparisons are made at once.
const BATCH: usize = 20_000;

/// What became of the comparisons of one kind.
#[derive(Default)]
struct Tally {
    compared: u64,
    rejected: u64,
}

/// What all comparisons together came to.
#[derive(Default)]
struct Findings {
    /// How often client and verifier disagreed, by the reason why that is right.
    disagreements: BTreeMap<&'static str, u64>,
    /// The rules, by name, for which the verifier rejected what the client rejects too.
    confirmed: BTreeSet<&'static str>,
}

fn main() {
    let arguments = Arguments::from_args();
    let source = oracle::source::find();
    if let Err(reason) = &source {
        eprintln!("differential: skipped: {reason:#}");
    }
    let trial = Trial::test("the_client_agrees", || {
        the_client_agrees();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(source.is_err())]).exit();
}

fn the_client_agrees() {
    let oracle = Oracle::build().unwrap();
    println!("judged by {}", oracle.source.file_name().unwrap_or_default());
    let long = std::env::var_os("CIFS_FIX_LONG_TESTS").is_some();
    let each = if long { 10_000_000 } else { 1_000_000usize }.div_ceil(KINDS.len());

    let mut random = Random(0x0bad_cafe);
    let mut findings = Findings::default();
    let mut total = 0;
    for kind in KINDS {
        let mut tally = Tally::default();
        while tally.compared < each as u64 {
            let batch: Vec<_> = (0..BATCH).filter_map(|_| kind.draw(&mut random)).collect();
            compare(&oracle, batch, &mut tally, &mut findings);
        }
        println!("{:>8} compared, {:>8} of them rejected: {}", tally.compared, tally.rejected, kind.name);
        // A generator that makes one sort only would prove nothing.
        let share = tally.rejected as f64 / tally.compared as f64;
        assert!((0.02..0.98).contains(&share), "{}: {share:.3} rejected", kind.name);
        total += tally.compared;
    }
    println!("{total:>8} in all");
    for (reason, times) in &findings.disagreements {
        println!("{times:>8} disagreements: {reason}");
    }
    for disagreement in DISAGREEMENTS {
        let seen = findings.disagreements.contains_key(disagreement.reason);
        assert!(seen, "never seen: {}", disagreement.reason);
    }
    every_rule_is_confirmed(&findings.confirmed);
}

/// Whatever is rejected in enforce mode must be seen to be rejected by the client, but for the
/// rules whose function cannot be asked.
fn every_rule_is_confirmed(confirmed: &BTreeSet<&'static str>) {
    let enforced = Rule::ALL.into_iter().filter(|rule| rule.level() == Level::Enforce);
    let unheard = |name: &str| UNHEARD.iter().any(|(rule, _)| rule.name() == name);
    let missing: Vec<_> =
        enforced.map(Rule::name).filter(|name| !confirmed.contains(name) && !unheard(name)).collect();
    assert!(missing.is_empty(), "rules that the client was never seen to share: {missing:?}");
    for (rule, reason) in UNHEARD {
        assert!(!confirmed.contains(rule.name()), "{} is confirmed, and yet: {reason}", rule.name());
    }
    println!("{:>8} rules confirmed by the client, {} not to be asked of it", confirmed.len(), UNHEARD.len());
}

/// Compares one batch; a disagreement that is not in the table fails.
fn compare(oracle: &Oracle, batch: Vec<Comparison>, tally: &mut Tally, findings: &mut Findings) {
    let questions: Vec<Question> = batch.iter().flat_map(|one| one.questions.clone()).collect();
    let answers = oracle.ask(&questions).unwrap();
    let mut answers = answers.into_iter();
    for comparison in batch {
        let theirs: Vec<i32> = answers.by_ref().take(comparison.questions.len()).collect();
        let agreed = comparison.agrees(&theirs);
        tally.compared += 1;
        tally.rejected += u64::from(comparison.spoilt);
        if agreed {
            findings.confirmed.extend(comparison.ours.err().map(|broken| broken.rule.name()));
            continue;
        }
        match DISAGREEMENTS.iter().find(|one| (one.covers)(&comparison, &theirs)) {
            Some(one) => *findings.disagreements.entry(one.reason).or_default() += 1,
            None => panic!("{comparison:02x?}\nthe client: {theirs:?}"),
        }
    }
}
