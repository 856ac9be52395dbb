// SPDX-License-Identifier: GPL-2.0
//! Two modules, in C and in Rust, that do the wrong thing that a parameter says (`seeded/`): each
//! is told for what it is, from a boot and from a saved machine. `docs/verdicts.md` has the table.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use vm::modules::GuestModule;
use vm::trace::Trace;
use vm::{Limits, Run, Verdict};
use vm_protocol::Expect;
use xtask::repository;

use crate::bench::{Bench, verdict_is};

/// A wrong thing.
struct Seed {
    /// The module that does it.
    module: &'static str,
    /// The value of its parameter `what`.
    what: &'static str,
    /// In words.
    meaning: &'static str,
    verdict: Verdict,
    /// What the reason for the verdict holds.
    said: &'static str,
    /// The function that the first trace leads to, if there is a trace.
    function: Option<&'static str>,
}

const fn seed(
    (module, what): (&'static str, &'static str),
    meaning: &'static str,
    verdict: Verdict,
    said: &'static str,
    function: Option<&'static str>,
) -> Seed {
    Seed { module, what, meaning, verdict, said, function }
}

const C: &str = "seeded_c";
const RUST: &str = "seeded_rust";

#[rustfmt::skip]
const SEEDS: &[Seed] = &[
    seed((C, "nothing"), "nothing wrong", Verdict::Pass, "2 steps ended as expected", None),
    seed((C, "error"), "init returns an error", Verdict::StepFailed, "ENODEV", None),
    seed((C, "stay"), "cannot be unloaded", Verdict::Leak, "refcnt 1", None),
    seed((C, "warn"), "`WARN`", Verdict::Warning, "seeded_c.c:", Some("seeded_warn")),
    seed((C, "taint"), "taints the kernel, silently", Verdict::Warning, "tainted W", None),
    seed((C, "null"), "writes to NULL", Verdict::Oops, "NULL pointer dereference", Some("seeded_null")),
    seed((C, "wild"), "writes to no address at all", Verdict::Oops, "general protection fault", Some("seeded_wild")),
    seed((C, "readonly"), "writes to a constant", Verdict::Oops, "unable to handle page fault", Some("seeded_readonly")),
    seed((C, "execute"), "runs data", Verdict::Oops, "unable to handle page fault", None),
    seed((C, "bug"), "`BUG`", Verdict::Oops, "kernel BUG at seeded_c.c:", Some("seeded_bug")),
    seed((C, "list"), "deletes a list entry twice", Verdict::Oops, "list_del corruption", Some("seeded_list")),
    seed((C, "count"), "drops a reference too many", Verdict::Oops, "refcount_t: ", Some("seeded_count")),
    seed((C, "stack"), "calls itself without end", Verdict::Oops, "stack", Some("seeded_deeper")),
    seed((C, "panic"), "`panic`", Verdict::Panic, "Kernel panic - not syncing: on purpose", Some("seeded_panic")),
    seed((C, "deadlock"), "takes a spinlock twice", Verdict::Hung, "soft lockup", Some("seeded_deadlock")),
    seed((C, "stall"), "never leaves an RCU reader", Verdict::Hung, "rcu", Some("seeded_stall")),
    seed((C, "loop"), "never returns, and lets others run", Verdict::TimeLimit, "no output", None),
    seed((RUST, "0"), "nothing wrong", Verdict::Pass, "2 steps ended as expected", None),
    seed((RUST, "5"), "init returns an error", Verdict::StepFailed, "ENODEV", None),
    seed((RUST, "1"), "`panic!`", Verdict::Oops, "rust_kernel: panicked at seeded_rust.rs", Some("panics")),
    seed((RUST, "2"), "indexes past the end of an array", Verdict::Oops, "rust_kernel: panicked at seeded_rust.rs", Some("indexes")),
    seed((RUST, "3"), "writes to null (`unsafe`)", Verdict::Oops, "NULL pointer dereference", Some("writes_nowhere")),
    seed((RUST, "4"), "calls itself without end", Verdict::Oops, "stack", Some("goes_deep")),
];

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |seed: &'static Seed| {
        Trial::test(format!("{}_{}_is_told", seed.module, seed.what), move || {
            let bench = bench.expect("trials are run with a bench");
            told(bench, seed).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let page = Trial::test("seeded_page_has_the_table", || {
        page().map_err(|error| Failed::from(format!("{error:#}")))
    });
    SEEDS.iter().map(trial).chain([page]).collect()
}

/// From a boot and from a saved machine.
fn told(bench: &Bench, seed: &Seed) -> Result<()> {
    for warm in [false, true] {
        let run = run(bench, seed, warm)?;
        verdict_is(&run, seed.verdict)?;
        ensure!(run.warm == warm, "{}", run.console_log);
        ensure!(run.judgement.reason.contains(seed.said), "{}", run.judgement.reason);
        let console = fs_err::read(&run.console_log)?;
        let trace = Trace::first_in(&String::from_utf8_lossy(&console));
        let Some(function) = seed.function else { continue };
        let trace = trace.with_context(|| format!("no trace in {}", run.console_log))?;
        let in_it = trace.frames.iter().any(|frame| frame.function.contains(function));
        ensure!(in_it, "{function} is not in {trace:?}");
    }
    Ok(())
}

fn run(bench: &Bench, seed: &Seed, warm: bool) -> Result<Run> {
    let project = Project::open(&repository().join("tests/vm/seeded"))?;
    let built = build(&bench.context, &project, &bench.prepared)?;
    let object = built.object(seed.module).with_context(|| format!("no {}", seed.module))?;
    let mut payload = bench.payload()?;
    let params = format!("what={}", seed.what);
    payload.insert(GuestModule::read(&object.file)?, &params, Expect::Success).remove(seed.module);
    let name = format!("{}-{}-{}", seed.module, seed.what, if warm { "warm" } else { "cold" });
    bench.run(&name, &payload, |machine| {
        machine.warm = warm;
        if seed.verdict == Verdict::TimeLimit {
            machine.limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
        }
    })
}

/// The table as the page has it.
fn table() -> String {
    let row = |seed: &Seed| {
        let language = if seed.module == C { "C" } else { "Rust" };
        let (verdict, status) = (seed.verdict, seed.verdict.exit() as u8);
        format!("| {} | {language} | {verdict} | {status} |\n", seed.meaning)
    };
    let rows: String = SEEDS.iter().map(row).collect();
    format!("| a module that | in | verdict | status |\n|---|---|---|---|\n{rows}")
}

fn page() -> Result<()> {
    let page = fs_err::read_to_string(repository().join("docs/verdicts.md"))?;
    ensure!(page.contains(&table()), "docs/verdicts.md is to have this table:\n{}", table());
    Ok(())
}
