// SPDX-License-Identifier: GPL-2.0
//! Projects that use each other's modules are loaded together.

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::bench::{Bench, trial};
use crate::chained::pair;
use crate::commands::tool;

pub(crate) fn trials(bench: Option<&'static Bench>) -> Vec<Trial> {
    vec![trial(bench, "chain_is_loaded_in_order_and_removed", loaded)]
}

fn loaded(bench: &Bench) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("not UTF-8")?;
    let (base, top) = pair(dir, "");
    let release = bench.prepared.kdir.release().as_str();
    let target = dir.join("target");
    let events = dir.join("events");
    let words =
        ["--json", "insmod", "--project", top.as_str(), "--needs", base.as_str(), "--kernel", release];
    let more = ["--target-dir", target.as_str(), "--events", events.as_str()];
    let (status, text) = tool(&[&words[..], &more].concat())?;
    let outcome: Value = serde_json::from_str(&text)?;
    ensure!(status == 0 && outcome[0]["verdict"] == "pass", "{status}: {text}");
    let said = outcome[0]["said"].to_string();
    ensure!(said.contains("has 7 of base"), "{said}");
    let told = fs_err::read_to_string(&events)?;
    let at = |what: &str| told.find(what).with_context(|| format!("{what}: {told}"));
    ensure!(at("insmod base")? < at("insmod top")? && at("rmmod top")? < at("rmmod base")?, "{told}");
    Ok(())
}
