// SPDX-License-Identifier: GPL-2.0
//! The commands that boot machines, as a user types them: `insmod` and `demo`.

use anyhow::{Context as _, Result, ensure};
use report::Report;
use report::process::Cmd;
use xtask::repository;

use crate::bench::Bench;

/// Runs the tool; gives exit status and standard output.
pub(crate) fn tool(args: &[&str]) -> Result<(i32, String)> {
    let output = Cmd::new(env!("CARGO_BIN_EXE_xtask")).args(args).finish(&Report::silent())?;
    let status = output.status.code().with_context(|| format!("killed: {}", output.tail))?;
    Ok((status, output.text()))
}

/// The guard passes, and the tool tells what it said.
pub(crate) fn insmod(bench: &Bench) -> Result<()> {
    let (status, text) = tool(&["--json", "insmod", "--kernel", bench.prepared.kdir.release().as_str()])?;
    ensure!(status == 0, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(outcomes[0]["verdict"] == "pass", "{outcomes}");
    let said = outcomes[0]["said"].to_string();
    ensure!(said.contains("guarding: hooked smb2_check_message"), "{said}");
    ensure!(said.contains("totals: mode=1"), "{said}");
    Ok(())
}

/// Who follows the file sees each step begin and end, then the verdict; from a boot and from a
/// saved machine the same.
pub(crate) fn events(bench: &Bench) -> Result<()> {
    let file = bench.logs.join("events.json");
    let release = bench.prepared.kdir.release().as_str();
    let mut told = Vec::new();
    for more in [&["--cold"][..], &[]] {
        let args = ["insmod", "--kernel", release, "--events", file.as_str()];
        let (status, text) = tool(&[&args[..], more].concat())?;
        ensure!(status == 0, "status {status}: {text}");
        let text = fs_err::read_to_string(&file)?;
        let mut lines: Vec<serde_json::Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let end = lines.pop().context("no line")?;
        ensure!(end["verdict"] == "pass" && end["warm"] == more.is_empty(), "{end}");
        ensure!(lines.iter().all(|line| line["schema"] == 1 && line["release"] == release), "{text}");
        let steps = lines.iter().filter(|line| line["event"]["step_ended"].is_object());
        told.push(steps.map(|line| line["step"].to_string()).collect::<Vec<_>>());
    }
    ensure!(told[0] == told[1] && told[0].iter().any(|step| step.contains("insmod cifs_fix.ko")), "{told:?}");
    Ok(())
}

/// The exit status is the verdict's: the second fault module panics.
pub(crate) fn insmod_of_a_fault(bench: &Bench) -> Result<()> {
    let project = repository().join("tests/vm/fault");
    let release = bench.prepared.kdir.release().as_str();
    let junit = bench.logs.join("fault.xml");
    let args = ["--json", "insmod", "--project", project.as_str(), "--kernel", release];
    let (status, text) = tool(&[&args[..], &["--junit", junit.as_str()]].concat())?;
    ensure!(status == 25, "status {status}: {text}");
    let outcomes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(outcomes[0]["verdict"] == "panic", "{outcomes}");
    let console = outcomes[0]["console"].as_str().context("no console is named")?;
    ensure!(fs_err::read_to_string(console)?.contains("fault_panic: on purpose"), "not in {console}");
    // Where it happened, to the line.
    let frames = outcomes[0]["trace"]["frames"].as_array().context("no trace")?;
    // The kernel's own frames have places too, where its debug information is.
    let own = frames.iter().filter(|frame| frame["module"] == "fault_panic");
    let mut places = own.flat_map(|frame| frame["places"].as_array().into_iter().flatten());
    let place = places.next().with_context(|| format!("nothing is led back: {frames:?}"))?;
    ensure!(place["file"] == "fault_panic.c" && place["function"] == "fault_panic_init", "{place}");
    let text = place["text"].as_str().context("no line of the source")?;
    ensure!(text.starts_with("panic("), "{text}");
    let again = outcomes[0]["again"].as_str().context("no command")?;
    ensure!(again.ends_with(&format!("insmod --project {project} --kernel {release}")), "{again}");
    let xml = fs_err::read_to_string(&junit)?;
    for said in ["failures=\"1\"", "type=\"panic\"", "fault_panic: on purpose", "again: "] {
        ensure!(xml.contains(said), "{said} is not in {xml}");
    }
    Ok(())
}

/// The whole story, and what it found.
pub(crate) fn demo(_: &Bench) -> Result<()> {
    demo_of(&[])
}

/// The same with further options.
pub(crate) fn demo_of(args: &[&str]) -> Result<()> {
    let (status, text) = tool(&[&["--json", "--yes", "demo"], args].concat())?;
    ensure!(status == 0, "status {status}: {text}");
    let story: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(story["state"] == "guarding", "{story}");
    let counter =
        |name: &str| story["counters"][name].as_u64().with_context(|| format!("no counter {name}: {story}"));
    ensure!(counter("checked")? > 0 && counter("malformed")? == 0 && counter("mode")? == 1, "{story}");
    ensure!(story["rust_symbols"].as_u64() > Some(500), "{story}");
    Ok(())
}
