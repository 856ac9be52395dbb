// SPDX-License-Identifier: GPL-2.0
//! What all trials share: a prepared kernel, the fault modules built for it, and how a machine is
//! run.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use guest::ShareStep;
use kernel::context::Context;
use kernel::distribution::known;
use kernel::machine::programs;
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use kmodfile::architecture::Architecture;
use libtest_mimic::{Failed, Trial};
use project::Project;
use project::build::{Built, build};
use report::cache::Cache;
use report::{Report, seconds};
use vm::accelerator::Accelerator;
use vm::modules::{GuestModule, ModuleTree};
use vm::{Init, Run, Verdict, boot, probe};
use vm_protocol::Expect;
use xtask::client::{SampleMachine as Machine, SamplePayload as Payload};
use xtask::repository;

/// What is tried on a bench.
pub(crate) type Check = fn(&Bench) -> Result<()>;

/// The trial that makes this check. Only to list them takes no bench.
pub(crate) fn trial(bench: Option<&'static Bench>, name: &str, check: Check) -> Trial {
    Trial::test(name, move || {
        let bench = bench.expect("trials are run with a bench");
        check(bench).map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// What all trials share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) context: Context,
    pub(crate) prepared: Prepared,
    pub(crate) vmlinux: Utf8PathBuf,
    pub(crate) init: Init<ShareStep>,
    pub(crate) tree: ModuleTree,
    pub(crate) faults: Built,
    pub(crate) logs: Utf8PathBuf,
    pub(crate) accelerator: Accelerator,
}

impl Bench {
    /// Prepares the default kernel, or takes it from the user's cache, and builds the fault modules
    /// for it.
    pub(crate) fn open(scratch: &Utf8Path) -> Result<Self> {
        let context = Context {
            yes: true,
            home: Some(repository()),
            target: Some(repository().join("target")),
            ..Context::new(
                Report::new(std::env::var_os("VERBOSE").is_some(), false, "cargo xtask"),
                Cache::of_user()?,
                env!("CARGO_BIN_EXE_xtask").into(),
            )
        };
        let qemu = Architecture::ALL.map(vm::qemu::programs).concat();
        programs::ensure(&context, &[known::usual().programs(), &qemu, xtask::share::PROGRAMS])?;
        let prepared = prepare::provide(&context, None, RootChoice::Auto)?;
        let architecture = prepared.kdir.stamp().architecture;
        let project = Project::open(&repository().join("tests/vm/fault"))?;
        let faults = build(&context, &project, &prepared)?;
        let vmlinux = boot::vmlinux(&context, &prepared.kdir)?;
        let accelerator = probe::choose(&context, architecture, &vmlinux)?;
        let init = xtask::init::init(&context, architecture)?;
        let tree = boot::tree(&prepared.kdir)?;
        Ok(Self { context, prepared, vmlinux, init, tree, faults, logs: scratch.to_owned(), accelerator })
    }

    pub(crate) fn fault(&self, name: &str) -> Result<GuestModule> {
        let object =
            self.faults.object(name).with_context(|| format!("no {name} among the fault modules"))?;
        GuestModule::read(&object.file)
    }

    pub(crate) fn payload(&self) -> Result<Payload> {
        self.payload_of(&self.tree)
    }

    /// A payload for the kernel that has these modules.
    pub(crate) fn payload_of(&self, tree: &ModuleTree) -> Result<Payload> {
        let own = self.init.architecture() == tree.architecture();
        let init =
            if own { self.init.clone() } else { xtask::init::init(&self.context, tree.architecture())? };
        Payload::with_init(init, tree)
    }

    /// Runs `payload` and prints what came of it.
    pub(crate) fn run(
        &self,
        name: &str,
        payload: &Payload,
        change: impl FnOnce(&mut Machine<'_>),
    ) -> Result<Run> {
        let log = self.logs.join(format!("{name}.log"));
        let mut machine = Machine::new(&self.vmlinux, payload, &log);
        machine.accelerator = Some(self.accelerator);
        change(&mut machine);
        let run = machine.run(&self.context, |_, _| {})?;
        eprintln!(
            "{name}: {} (status {}) after {}, init after {}: {}",
            run.judgement.verdict,
            run.judgement.verdict.exit() as u8,
            seconds(run.wall),
            run.boot.map_or("never".to_owned(), seconds),
            run.judgement.reason
        );
        Ok(run)
    }

    /// Inserts and removes one fault module.
    pub(crate) fn fault_run(&self, name: &str, change: impl FnOnce(&mut Machine<'_>)) -> Result<Run> {
        let mut payload = self.payload()?;
        payload.insert(self.fault(name)?, "", Expect::Success).remove(name);
        self.run(name, &payload, change)
    }
}

/// An error, with the whole console, unless a run ended so.
pub(crate) fn verdict_is(run: &Run, expected: Verdict) -> Result<()> {
    if run.judgement.verdict == expected {
        return Ok(());
    }
    let console = fs_err::read(&run.console_log)?;
    anyhow::bail!(
        "{:?} instead of {expected:?}: {}\n{}",
        run.judgement.verdict,
        run.judgement.reason,
        String::from_utf8_lossy(&console)
    )
}
