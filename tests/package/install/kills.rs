// SPDX-License-Identifier: GPL-2.0
//! The tool is killed at each file operation it makes (without `--long`, at every third) by
//! strace(1), which sends SIGKILL as the n-th call of a kind is about to be made. Whatever the
//! point, modprobe finds a module at once, and the next run leaves the system exactly as it was, or
//! exactly as it was to become.

use camino::{Utf8Path, Utf8PathBuf};
use deploy::install::modprobe::ModprobeAnswer;
use libtest_mimic::Trial;
use report::process::Cmd;
use xtask::commands::test::LONG;

use super::{Fixture, MODULE, Snapshot, copy, differences, snapshot};
use crate::suite::{Suite, run};

/// The system calls that change files. A file that is opened and still empty is seen by a kill at
/// its first `write`.
const CALLS: [&str; 11] = [
    "write",
    "fchmod",
    "fsync",
    "rename",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "rmdir",
    "ftruncate",
];

/// Points that all phases together must have; far fewer would mean that strace did not do what it
/// was told.
const LEAST: usize = 200;

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("install::killed_at_each_file_operation", killed_at_each_file_operation),
        suite.trial("install::a_command_run_again_after_a_kill_ends_well", run_again),
    ]
}

fn killed_at_each_file_operation(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let bench = Bench::new(&fixture);
    let second = fixture.second();
    let install = ["install", fixture.first().as_str()].map(str::to_owned);
    let upgrade = ["install", second.as_str(), "--load", "--options", "debug=1"].map(str::to_owned);
    let uninstall = ["uninstall", MODULE].map(str::to_owned);
    let mut points = Vec::new();
    let mut states = vec![bench.template("before")];
    for (name, command) in [("install", &install[..]), ("upgrade", &upgrade), ("uninstall", &uninstall)] {
        let from = states.last().unwrap();
        let phase = Phase::new(&bench, from, command, name);
        points.push((name, phase.kill_everywhere()));
        states.push(phase.after_dir.clone());
    }
    // The last is the first again.
    let (first, last) = (snapshot(&states[0]), snapshot(states.last().unwrap()));
    assert!(differences(&first, &last).is_empty(), "{:?}", differences(&first, &last));
    for (name, from, command) in
        [("recovery of install", 0, &install[..]), ("recovery of uninstall", 2, &uninstall[..])]
    {
        points.push((name, Phase::new(&bench, &states[from], command, name).kill_recovery_everywhere()));
    }
    let all: usize = points.iter().map(|(_, count)| count).sum();
    println!("killed at {all} points: {points:?}");
    assert!(all >= LEAST, "{points:?}");
    assert!(points.iter().all(|(_, count)| *count >= 20), "{points:?}");
}

/// What was asked for is so in the end, whoever got it there: the run that was killed, the one that
/// finishes it, or both.
fn run_again(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let bench = Bench::new(&fixture);
    let before = bench.template("before");
    fixture.install();
    let installed = bench.template("installed");
    let install = ["install", fixture.first().as_str()].map(str::to_owned);
    let uninstall = ["uninstall", MODULE].map(str::to_owned);
    for (from, command, after) in [(&before, install, &installed), (&installed, uninstall, &before)] {
        let after = snapshot(after);
        let mut ends = 0;
        // Also where nothing of it is left but that the run has not ended.
        for call in ["rename", "unlink", "rmdir", "exit_group"] {
            for n in 1.. {
                let work = bench.copy_of(from);
                fs_err::remove_dir_all(fixture.path().join("cache")).ok();
                if !bench.killed(&work, &command, call, n) {
                    break;
                }
                let (status, output) = run(&bench.tool(&work, &command));
                assert_eq!(status, 0, "{command:?}, killed at {call} {n} and run again: {output}");
                let differing = differences(&snapshot(&work), &after);
                assert!(differing.is_empty(), "{command:?}, killed at {call} {n}: {differing:?}");
                let (status, output) = run(&bench.tool(&work, &command));
                assert_eq!(status, 0, "{command:?}, a third time: {output}");
                ends += 1;
            }
        }
        assert!(ends > 10, "{command:?}: killed {ends} times");
    }
    // One that never was is still a mistake, and is named with those that are there.
    for words in [&["uninstall", "dns_resolvr"][..], &["uninstall", MODULE, "dns_resolvr"]] {
        let (status, output) = run(&fixture.tool(words));
        assert!(status == 3 && output.contains("dns_resolvr: is not installed"), "{output}");
        assert!(output.contains(&format!("installed: {MODULE}")), "{output}");
    }
    let (status, output) = run(&fixture.tool(&["uninstall", "dns_resolver.ko"]));
    assert!(status == 2 && output.contains("uninstall dns_resolver"), "{output}");
    assert!(differences(&fixture.snapshot(), &snapshot(&installed)).is_empty());
}

/// Where copies of systems are killed.
struct Bench<'a> {
    fixture: &'a Fixture,
}

impl<'a> Bench<'a> {
    fn new(fixture: &'a Fixture) -> Self {
        Self { fixture }
    }

    /// A copy of the system as it is now.
    fn template(&self, name: &str) -> Utf8PathBuf {
        let dir = self.fixture.path().join(name);
        copy(&self.fixture.system_dir(), &dir);
        dir
    }

    /// A fresh copy of a system, to be killed.
    fn copy_of(&self, from: &Utf8Path) -> Utf8PathBuf {
        let dir = self.fixture.path().join("work");
        if dir.exists() {
            fs_err::remove_dir_all(&dir).unwrap();
        }
        copy(from, &dir);
        dir
    }

    fn tool(&self, root: &Utf8Path, args: &[String]) -> Cmd {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.fixture.tool_at(root, &args)
    }

    /// Runs the tool and kills it at the n-th `call`. Whether it came to that.
    fn killed(&self, root: &Utf8Path, args: &[String], call: &str, n: usize) -> bool {
        let strace = Cmd::new("strace").args(["--quiet=all", "-o", "/dev/null"]).args([
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:signal=KILL:when={n}"),
        ]);
        let tool = self.tool(root, args);
        let traced = tool.vector().fold(strace, |strace, word| strace.arg(word));
        let traced = tool.environment().iter().fold(traced, |cmd, (name, value)| cmd.env(name, value));
        let (status, output) = run(&traced);
        // strace ends by the signal that ended what it traced.
        assert!(status == 0 || status == -1 || status == 137, "{call} {n}: status {status}: {output}");
        status != 0
    }
}

/// One command from one state of the system to another.
struct Phase<'a> {
    bench: &'a Bench<'a>,
    name: &'a str,
    before_dir: Utf8PathBuf,
    after_dir: Utf8PathBuf,
    before: Snapshot,
    after: Snapshot,
    command: &'a [String],
    loads: [ModprobeAnswer; 2],
}

impl<'a> Phase<'a> {
    fn new(bench: &'a Bench<'a>, from: &Utf8Path, command: &'a [String], name: &'a str) -> Self {
        let after_dir = bench.fixture.path().join(format!("after {name}"));
        copy(from, &after_dir);
        let (status, output) = run(&bench.tool(&after_dir, command));
        assert_eq!(status, 0, "{output}");
        let loads = [from, &after_dir].map(|dir| bench.fixture.loads_at(dir));
        Self {
            bench,
            name,
            before_dir: from.to_owned(),
            before: snapshot(from),
            after: snapshot(&after_dir),
            after_dir,
            command,
            loads,
        }
    }

    /// Kills the command everywhere; gives how often.
    fn kill_everywhere(&self) -> usize {
        self.everywhere(|call, n| {
            let work = self.bench.copy_of(&self.before_dir);
            let killed = self.bench.killed(&work, self.command, call, n);
            self.require_whole(&work, call, n);
            killed
        })
    }

    /// Kills the command in the middle, before and after its commit, and then the run that recovers
    /// from it, everywhere.
    fn kill_recovery_everywhere(&self) -> usize {
        let status = ["status".to_owned()];
        let mut count = 0;
        for (call, n) in self.middles() {
            let half = self.bench.fixture.path().join("half");
            if half.exists() {
                fs_err::remove_dir_all(&half).unwrap();
            }
            copy(&self.before_dir, &half);
            assert!(self.bench.killed(&half, self.command, call, n), "{}: {call} {n}", self.name);
            count += self.everywhere(|call, n| {
                let work = self.bench.copy_of(&half);
                let killed = self.bench.killed(&work, &status, call, n);
                self.require_whole(&work, call, n);
                killed
            });
        }
        count
    }

    /// A point while things are laid out, which the next run undoes, and one among the renames
    /// after the commit, which it finishes.
    fn middles(&self) -> [(&'static str, usize); 2] {
        let renames = (1..).take_while(|n| {
            let work = self.bench.copy_of(&self.before_dir);
            self.bench.killed(&work, self.command, "rename", *n)
        });
        let renames = renames.count();
        // The first puts the journal in place, the second commits, each of the others puts a file
        // in place.
        assert!(renames > 3, "{renames}");
        [("rename", 2), ("rename", renames)]
    }

    fn everywhere(&self, mut kill: impl FnMut(&str, usize) -> bool) -> usize {
        // With `--long`, at each of them.
        let stride = if std::env::var_os(LONG).is_some() { 1 } else { 3 };
        let of_call = |call: &&str| (1..).step_by(stride).take_while(|n| kill(call, *n)).count();
        CALLS.iter().map(of_call).sum()
    }

    /// The system as the kill left it serves, and the next run makes it whole; the one after that
    /// completes the command.
    fn require_whole(&self, work: &Utf8Path, call: &str, n: usize) {
        let point = format!("{}, killed at {call} {n}", self.name);
        let answer = self.bench.fixture.loads_at(work);
        assert!(self.loads.contains(&answer), "{point}: modprobe loads {answer}");
        if let ModprobeAnswer::File(file) = &answer {
            let dir = work.join("lib/modules").join(&self.bench.fixture.release);
            assert!(dir.join(file).exists(), "{point}: {file} is not there");
        }
        let (status, output) = run(&self.bench.tool(work, &["status".to_owned()]));
        assert_eq!(status, 0, "{point}: {output}");
        let found = snapshot(work);
        let (from_before, from_after) = (differences(&found, &self.before), differences(&found, &self.after));
        assert!(
            from_before.is_empty() || from_after.is_empty(),
            "{point}: neither as before, for {from_before:?}, nor as after, for {from_after:?}\n{output}"
        );
        if from_after.is_empty() {
            return;
        }
        let (status, output) = run(&self.bench.tool(work, self.command));
        assert_eq!(status, 0, "{point}, and run again: {output}");
        let from_after = differences(&snapshot(work), &self.after);
        assert!(from_after.is_empty(), "{point}, and run again: {from_after:?}");
    }
}
