// SPDX-License-Identifier: GPL-2.0
//! Machines of arm64: the guard before a real server, and what their kernels say when they are in
//! trouble. The kernel is the newest of arm64's default flavour, prepared in the user's cache.
//!
//! They are emulated on any other machine: a boot takes about twice that of one of amd64.

use anyhow::{Context as _, Result};
use kernel::discover;
use kernel::distribution::{Age, known};
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use kmodfile::architecture::Architecture;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::build;
use vm::Verdict;
use vm::boot;
use vm::modules::GuestModule;
use vm_protocol::Expect;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::bench::{Bench, verdict_is};
use crate::commands;
use crate::hostile;
use crate::vehicle::{self, Vehicle};

/// Memory of a machine that loads one module, in MiB.
const MEMORY: u32 = 256;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    // Where Rust has no library for it there is no init, and that has to be fetched by rustup.
    let missing = vm::init::OwnInit::of(Architecture::Arm64).is_err();
    let trial = |name: &str, check: fn(&Bench) -> Result<()>| {
        Trial::test(format!("arm64::{name}"), move || {
            let bench = bench.expect("trials are run with a bench");
            check(bench).map_err(|error| Failed::from(format!("{error:#}")))
        })
        .with_kind(if missing { "takes rustup target add aarch64-unknown-linux-musl" } else { "" })
        .with_ignored_flag(missing)
    };
    let mut trials = vec![
        trial("the_guard_rejects_each_by_its_rule", |bench| hostile(bench, Vehicle::Guard)),
        trial("oops_is_21", |bench| fault_is(bench, "fault_oops", Verdict::Oops)),
    ];
    if std::env::var_os(LONG).is_some() {
        trials.extend([
            trial("the_guard_counts_each", |bench| hostile(bench, Vehicle::Counting)),
            trial("clean_module_passes", |bench| fault_is(bench, "fault_none", Verdict::Pass)),
            trial("panic_is_25", |bench| fault_is(bench, "fault_panic", Verdict::Panic)),
            trial("warning_is_20", |bench| fault_is(bench, "fault_warn", Verdict::Warning)),
            trial("soft_lockup_is_23", |bench| fault_is(bench, "fault_hang", Verdict::Hung)),
            trial("hung_task_is_23", |bench| fault_is(bench, "fault_stuck", Verdict::Hung)),
            trial("command_demo_tells_the_story", |bench| {
                commands::demo_of(&["--kernel", prepared(bench)?.kdir.release().as_str()])
            }),
        ]);
    }
    trials
}

/// The kernel, prepared.
fn prepared(bench: &Bench) -> Result<Prepared> {
    let distribution = known::usual();
    let archive = distribution.archive_for(&bench.context, Age::Current, Architecture::Arm64)?;
    let kernel = discover::default(distribution, &*archive)?;
    prepare::prepare(&bench.context, &*archive, &kernel, RootChoice::Auto)
}

fn hostile(bench: &Bench, vehicle: Vehicle) -> Result<()> {
    hostile::check(bench, &prepared(bench)?, vehicle)
}

/// Inserts and removes one of the modules that do what the verdict says.
fn fault_is(bench: &Bench, name: &str, expected: Verdict) -> Result<()> {
    let prepared = prepared(bench)?;
    let built = build(&bench.context, &Project::open(&repository().join("tests/vm/fault"))?, &prepared)?;
    let object = built.object(name).with_context(|| format!("no {name} among the fault modules"))?;
    let mut payload = bench.payload_of(&boot::tree(&prepared.kdir)?)?;
    payload.insert(GuestModule::read(&object.file)?, "", Expect::Success).remove(name);
    let run = vehicle::boot(bench, &prepared, &payload, &format!("arm64-{name}"), MEMORY)?;
    eprintln!("arm64 {name}: {} after {:?}: {}", run.judgement.verdict, run.wall, run.judgement.reason);
    verdict_is(&run, expected)
}
