// SPDX-License-Identifier: GPL-2.0
//! The kernel that finds faults: suites of tests, and the guard. What it finds is in `seeds.rs`.
//! It takes long to build, so what needs it is run only where long tests are asked for, or where it
//! is in the cache.

use anyhow::{Context as _, Result, ensure};
use kernel::kdir::Kdir;
use kernel::sanitizing::standing_for;
use libtest_mimic::Trial;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::bench::{self, Bench, Check};
use crate::commands::tool;
use crate::coverage;

/// What trials are called that need a kernel that is not there.
const MISSING: &str = "takes the sanitizing kernel";

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: &str, check: Check| where_prepared(bench, bench::trial(bench, name, check));
    vec![
        trial("sanitizing_kernel_runs_suites_of_tests", suites),
        trial("sanitizing_kernel_has_nothing_to_say_of_the_guard", guard),
        trial("sanitizing_kernel_tells_which_lines_are_reached", coverage::lines_are_told),
    ]
}

/// The trial, which is skipped, and says why, where it would build that kernel first.
pub(crate) fn where_prepared(bench: Option<&Bench>, trial: Trial) -> Trial {
    let there = |bench: &Bench| {
        standing_for(bench.prepared.kdir.release())
            .is_ok_and(|twin| Kdir::open(&bench.context.cache, &twin).is_some())
    };
    let missing = std::env::var_os(LONG).is_none() && bench.is_some_and(|bench| !there(bench));
    trial.with_kind(if missing { MISSING } else { "" }).with_ignored_flag(missing)
}

/// The trials, those that take the sanitizing kernel as one skipped one where it is not there.
pub(crate) fn skipped_as_one(trials: Vec<Trial>) -> Vec<Trial> {
    let (missing, mut rest): (Vec<_>, Vec<_>) = trials.into_iter().partition(|trial| trial.kind() == MISSING);
    if !missing.is_empty() {
        let name = format!("sanitizing_kernel_has_{}_trials_and_is_not_prepared", missing.len());
        let why = "kernel prepare --sanitize, or --long";
        rest.push(Trial::test(name, || Ok(())).with_kind(why).with_ignored_flag(true));
    }
    rest
}

/// The guard is built by what it reads of the stock kernel's modules, and hooks.
fn guard(bench: &Bench) -> Result<()> {
    let release = bench.prepared.kdir.release().as_str();
    let (status, text) = tool(&["--json", "insmod", "--sanitize", "--kernel", release])?;
    ensure!(status == 0, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(outcomes[0]["verdict"] == "pass", "{outcomes}");
    let said = outcomes[0]["said"].to_string();
    ensure!(said.contains("guarding: hooked smb2_check_message"), "{said}");
    Ok(())
}

/// Suites of C and Rust run when their modules are loaded; one that fails is the exit status, and
/// the file has them all.
fn suites(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/suites");
    let file = bench.logs.join("suites.ktap");
    let release = bench.prepared.kdir.release().as_str();
    let args = ["--json", "insmod", "--sanitize", "--kernel", release, "--project", project.as_str()];
    let (status, text) = tool(&[&args[..], &["--ktap", file.as_str()]].concat())?;
    ensure!(status == 1, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    let suites: Vec<(&str, &str)> = outcomes[0]["tests"]["tests"]
        .as_array()
        .context("no tests")?
        .iter()
        .filter_map(|suite| Some((suite["name"].as_str()?, suite["outcome"].as_str()?)))
        .collect();
    let expected =
        [("numbers", "passed"), ("words", "passed"), ("rust_numbers", "passed"), ("bad", "failed")];
    ensure!(suites == expected, "{suites:?}");
    let written = fs_err::read_to_string(&file)?;
    for line in ["ok 2 divides # SKIP no divider", "ok 1 doubles", "not ok 2 fails", "not ok 1 7."] {
        ensure!(written.contains(line), "{line} is not in:\n{written}");
    }
    Ok(())
}
