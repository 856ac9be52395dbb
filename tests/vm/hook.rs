// SPDX-License-Identifier: GPL-2.0
//! What the guard's hook does where it cannot verify, or must not hook; the modules in `hook/`
//! bring that about.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};

use project::Project;
use project::build::build;
use vm::Verdict;
use vm::modules::GuestModule;
use vm_protocol::{Errno, Expect};

use crate::bench::{Bench, verdict_is};
use xtask::client::SampleStep as Step;
use xtask::repository;

const GUARD: &str = "cifs_fix";

/// A module of the project in `dir`.
fn module(bench: &Bench, dir: &str, name: &str) -> Result<GuestModule> {
    let built = build(&bench.context, &Project::open(&repository().join(dir))?, &bench.prepared)?;
    GuestModule::read(&built.object(name).with_context(|| format!("the build made no {name}"))?.file)
}

/// What passes unverified is counted, each kind by itself, and the client judges it as if there
/// were no guard.
pub(crate) fn unverified_is_counted(bench: &Bench) -> Result<()> {
    let mut payload = bench.payload()?;
    payload.insert_stock(&bench.tree, &["cifs"])?;
    payload.insert(module(bench, "", GUARD)?, "mode=1", Expect::Success);
    payload.insert(module(bench, "tests/vm/hook", "unverified")?, "", Expect::Success);
    let counters = payload.plan("").steps.len();
    payload.step(Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/counters") });
    payload.remove("unverified").remove("cifs");
    // The probe has been removed; what it missed is still counted.
    let afterwards = payload.plan("").steps.len();
    payload.step(Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/counters") });
    payload.remove(GUARD);
    let run = bench.run("unverified", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    for step in [counters, afterwards] {
        let text = run.output(step).context("no counters")?;
        let counted: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let expected =
            [("seen", "2"), ("checked", "0"), ("missed", "1"), ("oversized", "1"), ("foreign", "1")];
        for (name, value) in expected {
            ensure!(counted.get(name) == Some(&value), "{name} is not {value}: {text}");
        }
    }
    Ok(())
}

/// If the function that the guard borrows returns something else than it must, the guard does not
/// load, whether `cifs` is loaded or not; it says why, and leaves nothing behind.
pub(crate) fn another_answer_is_refused(bench: &Bench) -> Result<()> {
    let refused = || Expect::Failure(Errno::ENODEV);
    let mut payload = bench.payload()?;
    payload.insert(module(bench, "tests/vm/hook", "other_answer")?, "", Expect::Success);
    payload.insert(module(bench, "", GUARD)?, "", refused());
    payload.insert_stock(&bench.tree, &["cifs"])?;
    payload.insert(module(bench, "", GUARD)?, "", refused());
    payload.remove("other_answer");
    payload.insert(module(bench, "", GUARD)?, "", Expect::Success);
    let state = payload.plan("").steps.len();
    payload.step(Step::ReadFile { path: format!("/sys/kernel/debug/{GUARD}/state") });
    payload.remove(GUARD).remove("cifs");
    let run = bench.run("other_answer", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    let console = fs_err::read(&run.console_log)?;
    let said = String::from_utf8_lossy(&console).matches("always_delete_dentry returns 0, not 1").count();
    ensure!(said == 2, "the reason is in the log {said} times, not 2");
    ensure!(run.output(state) == Some("guarding\n"), "{:?}", run.output(state));
    Ok(())
}
