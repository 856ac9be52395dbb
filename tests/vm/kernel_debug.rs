// SPDX-License-Identifier: GPL-2.0
//! The kernel's own frames of a trace, led back to its source. Its debug information is large, so
//! this is run only where long tests are asked for, or where that is in the cache.

use anyhow::{Context as _, Result, ensure};
use kernel::debug_information;
use kernel::kdir::Kdir;
use libtest_mimic::{Failed, Trial};
use xtask::commands::test::LONG;
use xtask::repository;

use crate::bench::Bench;
use crate::commands::tool;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    let there = |bench: &Bench| debug_information::find(&bench.prepared.kdir, &bench.vmlinux).is_some();
    let missing = std::env::var_os(LONG).is_none() && bench.is_some_and(|bench| !there(bench));
    let trial = Trial::test("kernel_debug_leads_the_kernels_own_frames_back", move || {
        let bench = bench.expect("trials are run with a bench");
        led_back(bench).map_err(|error| Failed::from(format!("{error:#}")))
    });
    vec![
        trial
            .with_kind(if missing { "fetches the kernel's debug information" } else { "" })
            .with_ignored_flag(missing),
    ]
}

/// The caller of any module's init function is known to the line, and what is kept is counted.
fn led_back(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/fault");
    let release = bench.prepared.kdir.release();
    let args =
        ["--json", "insmod", "--kernel-debug", "--project", project.as_str(), "--kernel", release.as_str()];
    let (status, text) = tool(&args)?;
    ensure!(status == 25, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    let frames = outcomes[0]["trace"]["frames"].as_array().context("no trace")?;
    let caller = frames.iter().find(|frame| frame["function"] == "do_one_initcall");
    let caller = caller.with_context(|| format!("no caller: {frames:?}"))?;
    let place = caller["places"].as_array().and_then(|places| places.last());
    let place = place.with_context(|| format!("is not led back: {caller}"))?;
    ensure!(place["file"] == "init/main.c" && place["function"] == "do_one_initcall", "{place}");
    let text = place["text"].as_str().context("no line of the source")?;
    ensure!(text.contains("fn()"), "{text}");
    let kdir = Kdir::open(&bench.context.cache, release).context("is not prepared")?;
    let file = debug_information::find(&kdir, &bench.vmlinux).context("is not there")?;
    let counted = !file.starts_with(kdir.place()) || kdir.stamp().bytes > fs_err::metadata(&file)?.len();
    ensure!(counted, "{} bytes are counted", kdir.stamp().bytes);
    Ok(())
}
