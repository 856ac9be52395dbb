// SPDX-License-Identifier: GPL-2.0
//! The kernel that finds faults: modules that a distribution's kernel has nothing to say of, and
//! suites of tests. It takes long to build, so only where long tests are asked for, or where it is
//! in the cache.

use anyhow::{Context as _, Result, ensure};
use kernel::kdir::Kdir;
use kernel::prepare::{self, Rust};
use kernel::root::RootChoice;
use kernel::sanitizing::standing_for;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use vm::boot;
use vm::modules::GuestModule;
use vm::payload::Payload;
use vm::{Run, Verdict};
use vm_protocol::GuestStep;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::bench::Bench;
use crate::commands::tool;

/// A module, how the kernel that finds faults judges it, and what it says.
const FAULTS: &[(&str, Verdict, &str)] = &[
    ("quiet_bounds", Verdict::Oops, "KASAN: slab-out-of-bounds"),
    ("quiet_freed", Verdict::Oops, "KASAN: slab-use-after-free"),
    ("quiet_bool", Verdict::Oops, "UBSAN: invalid-load"),
    ("quiet_locks", Verdict::Lockdep, "possible circular locking"),
    ("quiet_sleep", Verdict::Lockdep, "sleeping function called from invalid context"),
    ("quiet_leak", Verdict::Leak, "suspected memory leaks"),
    ("quiet_left", Verdict::Leak, "suspected memory leaks"),
    ("quiet_rust", Verdict::Oops, "KASAN: slab-out-of-bounds"),
];

/// What is tried on a bench.
type Check = Box<dyn Fn(&Bench) -> Result<()> + Send>;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let there = |bench: &Bench| {
        standing_for(bench.prepared.kdir.release())
            .is_ok_and(|twin| Kdir::open(&bench.context.cache, &twin).is_some())
    };
    if std::env::var_os(LONG).is_none() && bench.is_some_and(|bench| !there(bench)) {
        return Vec::new();
    }
    let trial = |name: String, check: Check| {
        Trial::test(name, move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let faults = FAULTS.iter().map(|(name, verdict, said)| {
        let check = move |bench: &Bench| fault(bench, name, *verdict, said);
        trial(format!("sanitizing_kernel_judges_{name}"), Box::new(check))
    });
    let suites = trial("sanitizing_kernel_runs_suites_of_tests".to_owned(), Box::new(suites));
    let guard = trial("sanitizing_kernel_has_nothing_to_say_of_the_guard".to_owned(), Box::new(guard));
    faults.chain([suites, guard]).collect()
}

/// The stock kernel says nothing, its sanitizing one what is wrong.
fn fault(bench: &Bench, name: &str, verdict: Verdict, said: &str) -> Result<()> {
    let stock = loaded(bench, bench.prepared.kdir.release(), name)?;
    ensure!(stock.judgement.verdict == Verdict::Pass, "stock: {:?}", stock.judgement);
    let run = loaded(bench, &standing_for(bench.prepared.kdir.release())?, name)?;
    ensure!(run.judgement.verdict == verdict, "{:?}", run.judgement);
    ensure!(run.judgement.reason.contains(said), "{:?}", run.judgement);
    Ok(())
}

fn loaded(bench: &Bench, release: &kmodfile::release::Release, name: &str) -> Result<Run> {
    let prepared = prepare::provide_for(&bench.context, Some(release), RootChoice::Auto, Rust::Needed)?;
    let project = Project::open(&repository().join("tests/vm/quiet"))?;
    let built = build(&bench.context, &project, &prepared)?;
    let module =
        GuestModule::read(&built.object(name).with_context(|| format!("no {name} was built"))?.file)?;
    let tree = boot::tree(&prepared.kdir)?;
    let mut payload = Payload::new(&tree)?;
    payload.insert_with(&tree, module, "")?;
    if release != bench.prepared.kdir.release() {
        payload.step(GuestStep::Settle { millis: vm::leaks::SETTLE }).look_for_leaks();
        payload.remove(name).look_for_leaks();
    } else {
        payload.remove(name);
    }
    let log = bench.logs.join(format!("{name}-{release}.log"));
    let options = boot::Options { warm: true, ..boot::Options::default() };
    boot::boot(&bench.context, &prepared.kdir, &payload, &log, &options)
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
