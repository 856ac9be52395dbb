// SPDX-License-Identifier: GPL-2.0
//! Two modules, in C and in Rust, that do the wrong thing that a parameter says (`seeded/`): each
//! is told for what it is, from a boot and from a saved machine. `docs/verdicts.md` has the table.
//!
//! The boot of the sanitizing kernel takes a minute: there each is told from a saved machine, and
//! one of each verdict from a boot.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kernel::prepare::{self, Prepared, Rust};
use kernel::root::RootChoice;
use kernel::sanitizing::standing_for;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use vm::boot;
use vm::modules::GuestModule;
use vm::payload::Payload;
use vm::trace::Trace;
use vm::{Limits, Run, Verdict, leaks};
use vm_protocol::{Expect, GuestStep};
use xtask::repository;

use crate::bench::{Bench, verdict_is};
use crate::sanitizing;
use crate::seeds::{SEEDS, Seed, Told, table};

/// What a fault is tried with.
type Check = fn(&Bench, &Seed) -> Result<()>;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let trial = |name: String, seed: &'static Seed, check: Check| {
        Trial::test(name, move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench, seed).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    let stock = SEEDS.iter().map(|seed| trial(format!("{}_is_told", name(seed)), seed, told));
    let sanitizing = SEEDS.iter().filter(|seed| seed.sanitizing.is_some()).map(|seed| {
        let name = format!("{}_is_told_by_the_sanitizing_kernel", name(seed));
        sanitizing::where_prepared(bench, trial(name, seed, told_by_sanitizing))
    });
    let page = Trial::test("seeded_page_has_the_table", || {
        page().map_err(|error| Failed::from(format!("{error:#}")))
    });
    stock.chain(sanitizing).chain([page]).collect()
}

/// The name of a fault, by which its trials and logs are told apart.
fn name(seed: &Seed) -> String {
    let what = seed.replaced.map_or(seed.what, |(_, to)| to);
    let what: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{}_{what}", seed.module)
}

/// From a boot and from a saved machine.
fn told(bench: &Bench, seed: &Seed) -> Result<()> {
    for warm in [false, true] {
        is_told(&in_stock(bench, seed, warm)?, &seed.stock, warm)?;
    }
    Ok(())
}

/// From a saved machine, and for some from a boot.
fn told_by_sanitizing(bench: &Bench, seed: &Seed) -> Result<()> {
    let told = seed.sanitizing.as_ref().context("it says nothing else than the stock kernel")?;
    let ways = if seed.booted { &[false, true][..] } else { &[true] };
    ways.iter().try_for_each(|warm| is_told(&in_sanitizing(bench, seed, *warm)?, told, *warm))
}

fn is_told(run: &Run, told: &Told, warm: bool) -> Result<()> {
    verdict_is(run, told.verdict)?;
    ensure!(run.warm == warm, "{}", run.console_log);
    ensure!(run.judgement.reason.contains(told.said), "{}", run.judgement.reason);
    let Some(function) = told.function else { return Ok(()) };
    let console = fs_err::read(&run.console_log)?;
    let trace = Trace::first_in(&String::from_utf8_lossy(&console));
    let trace = trace.with_context(|| format!("no trace in {}", run.console_log))?;
    let in_it = trace.frames.iter().any(|frame| frame.function.contains(function));
    ensure!(in_it, "{function} is not in {trace:?}");
    Ok(())
}

/// The module that does it, built for this kernel.
fn module(bench: &Bench, prepared: &Prepared, seed: &Seed) -> Result<GuestModule> {
    let project = Project::open(&repository().join("tests/vm/seeded"))?;
    let built = build(&bench.context, &project, prepared)?;
    let object = built.object(seed.module).with_context(|| format!("no {}", seed.module))?;
    let mut module = GuestModule::read(&object.file)?;
    if let Some((from, to)) = seed.replaced {
        replace(&mut module.image, from, to)?;
    }
    Ok(module)
}

/// Puts `to` in the place of `from`, which is as long, wherever a module has it.
pub(crate) fn replace(image: &mut [u8], from: &str, to: &str) -> Result<()> {
    let found = |image: &[u8]| image.windows(from.len()).position(|window| window == from.as_bytes());
    ensure!(from.len() == to.len() && found(image).is_some(), "the module has no {from:?}");
    while let Some(at) = found(image) {
        image[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    Ok(())
}

fn in_stock(bench: &Bench, seed: &Seed, warm: bool) -> Result<Run> {
    let mut payload = bench.payload()?;
    let params = format!("what={}", seed.what);
    payload.insert(module(bench, &bench.prepared, seed)?, &params, Expect::Success).remove(seed.module);
    bench.run(&log_of(seed, "stock", warm), &payload, |machine| {
        machine.warm = warm;
        if seed.stock.verdict == Verdict::TimeLimit {
            machine.limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
        }
    })
}

fn in_sanitizing(bench: &Bench, seed: &Seed, warm: bool) -> Result<Run> {
    let twin = standing_for(bench.prepared.kdir.release())?;
    let prepared = prepare::provide_for(&bench.context, Some(&twin), RootChoice::Auto, Rust::Needed)?;
    let tree = boot::tree(&prepared.kdir)?;
    let mut payload = Payload::new(&tree)?;
    payload.insert(module(bench, &prepared, seed)?, &format!("what={}", seed.what), Expect::Success);
    // Looking takes far longer than all else, and finds nothing else.
    if seed.sanitizing.is_some_and(|told| told.verdict == Verdict::Leak) {
        payload.step(GuestStep::Settle { millis: leaks::SETTLE }).look_for_leaks();
        payload.remove(seed.module).look_for_leaks();
    } else {
        payload.remove(seed.module);
    }
    let log = bench.logs.join(format!("{}.log", log_of(seed, "sanitizing", warm)));
    let options = boot::Options { warm, ..boot::Options::default() };
    boot::boot(&bench.context, &prepared.kdir, &payload, &log, &options)
}

fn log_of(seed: &Seed, kernel: &str, warm: bool) -> String {
    format!("{}-{kernel}-{}", name(seed), if warm { "warm" } else { "cold" })
}

fn page() -> Result<()> {
    let page = fs_err::read_to_string(repository().join("docs/verdicts.md"))?;
    ensure!(page.contains(&table()), "docs/verdicts.md is to have this table:\n{}", table());
    Ok(())
}
