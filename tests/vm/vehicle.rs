// SPDX-License-Identifier: GPL-2.0
//! What stands between a server and the client's parsers: the vehicles, each on the kernel that it
//! is for, in a machine.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use kernel::prepare::{self, Prepared};
use kernel::root::RootChoice;
use kmodfile::release::Release;
use project::Project;
use project::build::build;
use vm::Run;
use vm::boot::{self, Options};
use vm::modules::GuestModule;
use xtask::client::{ClientSteps as _, SamplePayload as Payload, SampleStep as Step};
use xtask::repository;

use crate::bench::Bench;

/// The guard's module.
pub(crate) const GUARD: &str = "cifs_fix";
/// The client's.
pub(crate) const CLIENT: &str = xtask::client::MODULE;

/// What verifies the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vehicle {
    /// Nothing but the stock client.
    Stock,
    /// The stock client, and the guard that counts.
    Counting,
    /// The stock client, and the guard that rejects.
    Guard,
    /// The rebuilt client, with the verifier in it, or, of a kernel without Rust, mended in C.
    Rebuild,
}

impl fmt::Display for Vehicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stock => "stock",
            Self::Counting => "counting",
            Self::Guard => "guard",
            Self::Rebuild => "rebuild",
        })
    }
}

impl Vehicle {
    /// Whether the guard is loaded.
    pub(crate) fn has_guard(self) -> bool {
        matches!(self, Self::Counting | Self::Guard)
    }

    /// A machine's payload with the network up, the vehicle loaded and nothing mounted.
    pub(crate) fn payload(self, bench: &Bench, prepared: &Prepared) -> Result<Payload> {
        let tree = boot::tree(&prepared.kdir)?;
        let mut payload = bench.payload_of(&tree)?;
        payload.network(&tree)?;
        if self == Self::Rebuild {
            payload.insert_with(&tree, module(bench, &client()?, CLIENT, prepared)?, "")?;
        } else {
            payload.insert_stock(&tree, &[CLIENT])?;
        }
        if self.has_guard() {
            let guard = module(bench, &Project::open(&repository())?, GUARD, prepared)?;
            payload.insert_with(&tree, guard, if self == Self::Guard { "mode=1" } else { "mode=0" })?;
        }
        payload.cifs_companions(&tree)?;
        Ok(payload)
    }

    /// Adds the steps that unload it.
    pub(crate) fn unload(self, payload: &mut Payload) {
        if self.has_guard() {
            payload.remove(GUARD);
        }
        payload.remove(CLIENT);
    }

    /// Adds the step that reads the guard's counters, if there is a guard, and says which step it
    /// is.
    pub(crate) fn read_counters(self, payload: &mut Payload) -> Option<usize> {
        let step = Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/counters") };
        self.has_guard().then(|| {
            payload.step(step);
            payload.plan("").steps.len() - 1
        })
    }

    /// Of a rebuilt client, the kernel says that it is not its own.
    pub(crate) fn require_loaded(self, run: &Run) -> Result<()> {
        let said = boot::said_by(run, CLIENT);
        let rebuilt = said.iter().any(|line| line.contains("out-of-tree"));
        ensure!(rebuilt == (self == Self::Rebuild), "{self}: the kernel says of {CLIENT}: {said:?}");
        Ok(())
    }
}

/// Boots a kernel with `payload`.
pub(crate) fn boot(
    bench: &Bench,
    prepared: &Prepared,
    payload: &Payload,
    name: &str,
    memory: u32,
) -> Result<Run> {
    let options = Options { memory, ..Options::default() };
    let log = bench.logs.join(format!("{name}.log"));
    boot::boot(&bench.context, &prepared.kdir, payload, &log, &options)
}

fn client() -> Result<Project> {
    Project::open(&repository().join("cifs"))
}

fn module(bench: &Bench, project: &Project, name: &str, prepared: &Prepared) -> Result<GuestModule> {
    let built = build(&bench.context, project, prepared)?;
    GuestModule::read(&built.object(name).with_context(|| format!("the build made no {name}"))?.file)
}

/// A kernel, prepared, with what the rebuilt client needs of it.
pub(crate) fn prepared(bench: &Bench, release: &Release) -> Result<Prepared> {
    prepare::provide_for(&bench.context, Some(release), RootChoice::Auto, client()?.rust())
}
