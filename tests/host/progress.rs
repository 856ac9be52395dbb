// SPDX-License-Identifier: GPL-2.0
//! Nothing is silent for long: what a run says while a program keeps it waiting.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use report::Report;
use report::process::Cmd;

/// Set for the run of this program that is looked at.
const WAITS: &str = "CARGO_KMOD_TEST_WAITS";

/// No longer is anything silent: a line comes every ten seconds, and a busy machine has two more.
const GAP: Duration = Duration::from_secs(12);

/// A program that no step of ours tells of, and that itself prints nothing.
#[test]
fn a_program_that_takes_long_is_named_though_no_step_is() {
    if std::env::var_os(WAITS).is_some() {
        Cmd::new("sleep").arg("11").run(&Report::new(false, false, "cargo kmod")).unwrap();
        Cmd::new("true").run(&Report::new(false, false, "cargo kmod")).unwrap();
        return;
    }
    let name = "progress::a_program_that_takes_long_is_named_though_no_step_is";
    let cmd = Cmd::new(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let mut child = cmd.env(WAITS, "1").spawn(Stdio::null(), Stdio::piped()).unwrap();
    let mut said = Vec::new();
    let mut last = Instant::now();
    let mut longest = Duration::ZERO;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        longest = longest.max(last.elapsed());
        last = Instant::now();
        said.push(line.unwrap());
    }
    assert!(child.wait().unwrap().success());
    assert!(longest.max(last.elapsed()) < GAP, "silent for {longest:?}: {said:?}");
    let shown: Vec<&String> = said.iter().filter(|line| line.contains("Running ")).collect();
    assert_eq!(shown, ["     Running sleep 11, 10 s"]);
}
