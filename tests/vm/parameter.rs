// SPDX-License-Identifier: GPL-2.0
//! The guard's parameter: given when loading, read and changed in sysfs, and refused there and then
//! when it makes no sense.

use anyhow::{Context as _, Result, ensure};
use project::Project;
use project::build::{Built, build};
use vm::Verdict;
use vm::modules::GuestModule;
use vm_protocol::{Errno, Expect};
use xtask::client::SampleStep as Step;
use xtask::repository;

use crate::bench::{Bench, verdict_is};

const PARAMETER: &str = "/sys/module/cifs_fix/parameters/mode";
const DEBUGFS: &str = "/sys/kernel/debug/cifs_fix/mode";

fn guard(bench: &Bench) -> Result<Built> {
    build(&bench.context, &Project::open(&repository())?, &bench.prepared)
}

/// The guard, to be loaded in a machine.
fn module(bench: &Bench) -> Result<GuestModule> {
    GuestModule::read(&guard(bench)?.object("cifs_fix").context("the build made no guard")?.file)
}

/// Every mode through sysfs, seen in both places; what is no mode is EINVAL and changes nothing.
pub(crate) fn changed_at_run_time(bench: &Bench) -> Result<()> {
    let write =
        |path: &str, content: &str| Step::WriteFile { path: path.to_owned(), content: content.to_owned() };
    let read = |path: &str| Step::ReadFile { path: path.to_owned() };
    let refused = || Expect::Failure(Errno::EINVAL);
    let mut payload = bench.payload()?;
    let mut expected = Vec::new();
    payload.insert(module(bench)?, "mode=3", refused());
    payload.insert(module(bench)?, "mode=", refused());
    payload.insert(module(bench)?, "mode=2", Expect::Success);
    let mut seen = |payload: &mut xtask::client::SamplePayload, mode: &str| {
        for path in [PARAMETER, DEBUGFS] {
            expected.push((payload.plan("").steps.len(), format!("{mode}\n")));
            payload.step(read(path));
        }
    };
    seen(&mut payload, "2");
    for mode in ["0", "1", "2"] {
        payload.step(write(PARAMETER, mode));
        seen(&mut payload, mode);
    }
    for wrong in ["3", "-1", "10", "enforce", "\n", "1 2"] {
        payload.expect(write(PARAMETER, wrong), refused());
        payload.expect(write(DEBUGFS, wrong), refused());
    }
    seen(&mut payload, "2");
    payload.step(write(DEBUGFS, "1\n"));
    seen(&mut payload, "1");
    payload.remove("cifs_fix");
    let run = bench.run("parameter", &payload, |_| {})?;
    verdict_is(&run, Verdict::Pass)?;
    for (step, text) in expected {
        ensure!(run.output(step) == Some(&text), "step {step}: {:?} instead of {text:?}", run.output(step));
    }
    Ok(())
}

/// What modinfo(8) shows.
pub(crate) fn modinfo(bench: &Bench) -> Result<()> {
    let guard = guard(bench)?;
    let file = &guard.object("cifs_fix").context("the build made no guard")?.file;
    let info = kmodfile::module::Module::read(file)?.modinfo;
    ensure!(info.get("version") == Some(env!("CARGO_PKG_VERSION")), "{info:?}");
    ensure!(info.get("softdep") == Some("post: cifs") && info.get("license") == Some("GPL"), "{info:?}");
    ensure!(info.get("parmtype") == Some("mode:uint"), "{info:?}");
    ensure!(info.get("parm").is_some_and(|text| text.starts_with("mode:0: count and log")), "{info:?}");
    for field in ["author", "description", "name", "vermagic"] {
        ensure!(info.get(field).is_some_and(|text| !text.is_empty()), "{field}: {info:?}");
    }
    Ok(())
}
