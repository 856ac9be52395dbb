// SPDX-License-Identifier: GPL-2.0
//! Runs that are ended, killed, or two at once: what is done is kept, and nothing goes on.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use matrix::summary::CellState;
use report::process::Cmd;
use rustix::process::{Pid, Signal, kill_process};

use super::field::Field;
use crate::suite::{Suite, run};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("matrix::ctrl_c_leaves_what_is_done_and_resume_goes_on", stopped),
        suite.trial("matrix::what_ends_by_a_signal_for_all_has_not_failed", signalled),
        suite.trial("matrix::a_run_that_is_killed_leaves_nothing_running", killed),
        suite.trial("matrix::two_runs_at_once_run_each_cell_once", two_at_once),
        suite.trial("matrix::a_full_disk_ends_the_run_and_spoils_nothing", full_disk),
        suite.trial("matrix::a_half_written_result_is_lost_and_run_again", half_written),
    ]
}

/// Says that it has begun, and then does nothing for an hour.
const WAITS: &str = "echo $$ > \"$KMOD_PROJECT/pid\"; echo begun; exec sleep 3600";

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A matrix of which one cell passes and the other one waits, when it does.
fn begun(suite: &Suite) -> (Field, Child) {
    let field = Field::new(suite).project("a").project("b");
    let field = field.program("check", &format!("case $KMOD_PROJECT in */a) exit 0; esac; {WAITS}"));
    let field = field.matrix(&["a", "b"], "steps = [\"run:check\"]");
    let results = field.results_dir();
    let cmd = field.cmd(&["run", "matrix.toml", "--jobs", "1", "--results", results.as_str()]);
    let child = cmd.spawn(Stdio::null(), Stdio::null()).unwrap();
    until("the second cell", || field.dir.join("b/pid").metadata().is_ok_and(|meta| meta.len() > 0));
    (field, child)
}

/// Whether the program that waits is still there.
fn waits(field: &Field) -> bool {
    let pid = fs_err::read_to_string(field.dir.join("b/pid")).unwrap();
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.contains("(sleep)")
}

fn stopped(suite: &Suite) {
    for signal in [Signal::INT, Signal::TERM] {
        let (field, mut child) = begun(suite);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(1), "{signal:?}: it ends by itself, with what is not done");
        assert!(!waits(&field));
        let kept = field.kept();
        let expected = [("a".to_owned(), CellState::Passed), ("b".to_owned(), CellState::Stopped)];
        assert_eq!(kept.states(), expected.into());
        let partial = kept.of("b");
        assert!(partial.stopped && !partial.is_final() && partial.steps.len() == 1);
        let log = field.results_dir().join(partial.steps[0].log.as_ref().unwrap());
        assert_eq!(fs_err::read_to_string(log).unwrap(), "begun\n");
        // What was left is gone on with, though the file is another one by now.
        let plan = kept.plan.id;
        let field = field.program("check", "exit 0").matrix(&["a"], "steps = [\"run:check\"]");
        let results = field.results_dir();
        let (status, said) = run(&field.cmd(&["run", "--resume", "--results", results.as_str()]));
        assert_eq!(status, 0, "{said}");
        assert_eq!((field.kept().plan.id, field.kept().states()["b"]), (plan, CellState::Passed));
    }
}

/// As with Ctrl-C, or when a batch system ends all processes of a job: here the program that a step
/// runs is the first to hear of it.
fn signalled(suite: &Suite) {
    let (field, mut child) = begun(suite);
    let pid = fs_err::read_to_string(field.dir.join("b/pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    assert_eq!(field.kept().states()["b"], CellState::Stopped);
    assert!(!field.kept().of("b").is_final());
}

fn killed(suite: &Suite) {
    let (field, mut child) = begun(suite);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the end of what it had started", || !waits(&field));
    let kept = field.kept();
    assert_eq!(kept.states()["a"], CellState::Passed);
    assert_eq!(kept.states()["b"], CellState::Lost, "never passed");
    let field = field.program("check", "exit 0");
    let (status, said) = field.run(&[]);
    assert_eq!(status, 0, "{said}");
}

fn two_at_once(suite: &Suite) {
    let names = ["a", "b", "c", "d", "e", "f"];
    let field = names.iter().fold(Field::new(suite), |field, name| field.project(name));
    let field = field.program("check", "echo $KMOD_CELL >> \"$KMOD_PROJECT/../runs\"; sleep 0.2");
    let field = field.matrix(&names, "steps = [\"run:check\"]");
    let both = std::thread::scope(|scope| {
        let field = &field;
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| field.run(&[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(both.iter().all(|(status, _)| *status == 0), "{both:?}");
    let mut runs: Vec<String> =
        fs_err::read_to_string(field.dir.join("runs")).unwrap().lines().map(str::to_owned).collect();
    runs.sort_unstable();
    assert_eq!(runs.len(), names.len());
    runs.dedup();
    assert_eq!(runs.len(), names.len());
}

fn full_disk(suite: &Suite) {
    let field = Field::new(suite).project("a").project("b").program("check", "head -c 300000 /dev/zero");
    let field = field.matrix(&["a", "b"], "steps = [\"run:check\"]");
    let results = field.results_dir();
    fs_err::create_dir(&results).unwrap();
    let inner = field.cmd(&["run", "matrix.toml", "--jobs", "1", "--results", results.as_str()]);
    let script =
        r#"mount -t tmpfs -o size=400k tmpfs "$0" && "$@"; status=$?; cp -r "$0/." "$0-kept"; exit $status"#;
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let outer = Cmd::new("unshare").args(user).args(["--mount", "sh", "-c", script]).arg(&results);
    let outer = outer.cwd(field.dir.clone());
    let (status, said) = run(&inner.wrapped_in(outer, "small disk").cwd(field.dir.clone()));
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("remedy: make room on"), "{said}");
    let kept = super::field::Kept::in_dir(&field.dir.join("results-kept"));
    // The first had space for its log; what the second could not write is not there, half or whole.
    assert!(kept.faults.is_empty(), "{:?}", kept.faults);
    assert_eq!(kept.states()["a"], CellState::Passed);
    assert_ne!(kept.states()["b"], CellState::Passed);
}

fn half_written(suite: &Suite) {
    let field = Field::new(suite).project("a").project("b").program("check", "exit 0");
    let field = field.matrix(&["a", "b"], "steps = [\"run:check\"]");
    field.run(&[]);
    let kept = field.kept();
    let file = field.results_dir().join(format!("cells/{}.json", kept.of("a").cell));
    let text = fs_err::read_to_string(&file).unwrap();
    for spoilt in [&text[..text.len() / 2], "", "{}", &text.replace("\"a\"", "\"b\"")] {
        fs_err::write(&file, spoilt).unwrap();
        let kept = field.kept();
        assert_eq!((kept.states()["a"], kept.states()["b"]), (CellState::Lost, CellState::Passed));
        assert_eq!(kept.faults.len(), 1, "{:?}", kept.faults);
        let (status, said) = field.run(&[]);
        assert_eq!(status, 0, "{said}");
        assert_eq!(field.kept().states()["a"], CellState::Passed);
    }
}
