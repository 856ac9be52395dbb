// SPDX-License-Identifier: GPL-2.0
//! Circumstances: a full disk, a read-only one, another run at the same time.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use camino::Utf8Path;
use libtest_mimic::Trial;
use report::process::Cmd;

use super::{Fixture, MODULE, assert_same, differences, snapshot};
use crate::suite::{PROGRAM, Suite, run};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("install::a_full_disk_leaves_all_as_before", full_disk),
        suite.trial("install::a_full_cache_is_named", full_cache),
        suite.trial("install::what_is_so_after_an_io_error_is_said", io_error),
        suite.trial("install::a_read_only_disk_leaves_all_as_before", read_only),
        suite.trial("install::a_second_run_waits_for_the_first", second_run_waits),
        suite.trial("install::depmod_run_by_others_between_kill_and_recovery_is_not_undone", depmod_between),
    ]
}

/// The system is copied to a small file system of its own, in a mount namespace, where `then` runs;
/// what is there in the end comes back in `out`.
fn on_a_small_disk(fixture: &Fixture, kib: u64, then: &str) -> (i32, String) {
    let user: &[&str] = if kernel::machine::user::is_root() { &[] } else { &["--map-root-user"] };
    let script = format!(
        r#"mount -t tmpfs -o size={kib}k,mode=755 tmpfs "$1/small"
        cp -a "$1/system/." "$1/small"
        status=0
        {then}
        cp -a "$1/small/." "$1/out"
        exit $status"#
    );
    for dir in ["small", "out"].map(|dir| fixture.path().join(dir)) {
        if dir.exists() {
            fs_err::remove_dir_all(&dir).unwrap();
        }
        fs_err::create_dir(&dir).unwrap();
    }
    let module = fixture.first();
    let args = [fixture.path().as_str(), PROGRAM, module.as_str(), MODULE];
    run(&Cmd::new("unshare")
        .args(user)
        .args(["--mount", "sh", "-eu", "-c", &script, "sh"])
        .args(args)
        .env("XDG_CACHE_HOME", fixture.path().join("cache")))
}

/// The space left is less and less: somewhere between none and enough for all, each step of the
/// installation meets the end of it.
fn full_disk(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let used: u64 = before.values().map(|(_, _, bytes)| (bytes.len() as u64).next_multiple_of(4096)).sum();
    let (mut full, mut installed) = (0, 0);
    for spare in (0..1024).step_by(24) {
        let then = r#""$2" install --root "$1/small" "$3" || status=$?"#;
        let (status, output) = on_a_small_disk(&fixture, used / 1024 + spare, then);
        let found = snapshot(&fixture.path().join("out"));
        if status == 0 {
            installed += 1;
            assert!(!differences(&found, &before).is_empty());
        } else if !output.contains("cp: ") {
            full += 1;
            assert_eq!(status, 3, "{spare} KiB: {output}");
            // The disk that is full is the target's, and it is named; the cache is elsewhere.
            let small = fixture.path().join("small");
            let said = format!("{small}: no space is left on this file system, to write {small}/");
            assert!(output.contains(&said), "{spare} KiB: {output}");
            assert!(output.contains(&format!("remedy: make room on {small},")), "{output}");
            assert!(!output.contains("XDG_CACHE_HOME"), "{output}");
            assert!(output.contains("all is as before"), "{output}");
            assert_same(&found, &before);
        }
    }
    assert!(full >= 3 && installed >= 3, "{full} ended for want of space, {installed} did not");
}

/// It is the cache's disk that is full: advice is for that.
fn full_cache(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let user: &[&str] = if kernel::machine::user::is_root() { &[] } else { &["--map-root-user"] };
    let cache = fixture.path().join("cache");
    fs_err::create_dir(&cache).unwrap();
    let script = r#"mount -t tmpfs -o size=16k,mode=755 tmpfs "$1"
        "$2" install --root "$3" "$4""#;
    let cmd = Cmd::new("unshare").args(user).args(["--mount", "sh", "-eu", "-c", script, "sh"]);
    let cmd = cmd.args([cache.as_str(), PROGRAM, fixture.system_dir().as_str(), fixture.first().as_str()]);
    let (status, output) = run(&cmd.env("XDG_CACHE_HOME", &cache));
    assert_eq!(status, 3, "{output}");
    assert!(output.contains(&format!("{cache}: no space is left on this file system")), "{output}");
    assert!(output.contains("or move it: export XDG_CACHE_HOME="), "{output}");
    assert_same(&fixture.snapshot(), &before);
}

/// Each call that removes, renames or syncs fails once: all is as before, or done, and it is said
/// which; what is left then is cleared away by the next run.
fn io_error(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let work = fixture.path().join("work");
    let copy = |from: &Utf8Path| {
        fs_err::remove_dir_all(&work).ok();
        super::copy(from, &work);
    };
    let before = fixture.path().join("before");
    super::copy(&fixture.system_dir(), &before);
    fixture.install();
    let installed = fixture.path().join("installed");
    super::copy(&fixture.system_dir(), &installed);
    let first = fixture.first();
    for (from, to, words, done) in [
        (&before, &installed, ["install", first.as_str()], "is installed, but"),
        (&installed, &before, ["uninstall", MODULE], "is uninstalled, but"),
    ] {
        let (was, is) = (snapshot(from), snapshot(to));
        let (mut undone, mut left) = (0, 0);
        for call in ["unlink", "rename", "fsync", "rmdir", "link"] {
            for n in 1.. {
                copy(from);
                let (hit, status, output) = with_io_error(&fixture.tool_at(&work, &words), call, n);
                if !hit {
                    break;
                }
                let point = format!("{words:?}, {call} {n}: {output}");
                let is_done = fixture.loads_at(&work) == fixture.loads_at(to);
                if status == 0 {
                    // It was none of the system's files.
                    assert!(is_done, "{point}");
                    continue;
                }
                assert_eq!(output.contains(done), is_done, "{point}");
                assert!(!is_done || !output.contains("unchanged"), "{point}");
                undone += i32::from(output.contains("all is as before"));
                left += i32::from(is_done);
                let (status, output) = run(&fixture.tool_at(&work, &["status"]));
                assert_eq!(status, 0, "{output}");
                let differing = differences(&snapshot(&work), if is_done { &is } else { &was });
                assert!(differing.is_empty(), "{point}: {differing:?}");
            }
        }
        assert!(undone > 3 && left > 1, "{words:?}: {undone} undone, {left} with something left");
    }
}

/// Runs the tool with the n-th call of a kind failing with EIO. Whether it came to that, the status
/// and what was said.
fn with_io_error(tool: &Cmd, call: &str, n: usize) -> (bool, i32, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let strace = Cmd::new("strace").args(["-qq", "-o", log.path().to_str().unwrap()]);
    let strace = strace.args(["-e", &format!("trace={call}")]);
    let strace = strace.args(["-e", &format!("inject={call}:error=EIO:when={n}")]);
    let traced = tool.vector().fold(strace, |strace, word| strace.arg(word));
    let traced = tool.environment().iter().fold(traced, |cmd, (name, value)| cmd.env(name, value));
    let (status, output) = run(&traced);
    (fs_err::read_to_string(log.path()).unwrap().contains("(INJECTED)"), status, output)
}

fn read_only(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let then = r#"mount -o remount,ro "$1/small"
        "$2" install --root "$1/small" "$3" || status=$?"#;
    let (status, output) = on_a_small_disk(&fixture, 65536, then);
    assert!(status != 0 && output.contains("Read-only file system"), "{status}: {output}");
    assert_same(&snapshot(&fixture.path().join("out")), &before);
    fixture.install();
    let installed = fixture.snapshot();
    let then = r#"mount -o remount,ro "$1/small"
        "$2" uninstall --root "$1/small" "$4" || status=$?"#;
    let (status, output) = on_a_small_disk(&fixture, 65536, then);
    assert!(status != 0 && output.contains("Read-only file system"), "{status}: {output}");
    assert_same(&snapshot(&fixture.path().join("out")), &installed);
    let then = r#"mount -o remount,ro "$1/small"
        "$2" status --root "$1/small" || status=$?"#;
    let (status, output) = on_a_small_disk(&fixture, 65536, then);
    assert!(
        status == 0 && output.contains(&format!("extra/{MODULE}.ko")),
        "looking needs no writing: {output}"
    );
}

/// Both complete, the second after the first.
fn second_run_waits(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let before = fixture.snapshot();
    let lock = File::open(fixture.system_dir().join("lib/modules")).unwrap();
    lock.lock().unwrap();
    let start = |args: &[&str]| {
        let mut child = fixture.tool(args).spawn(Stdio::null(), Stdio::piped()).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("Waiting") && line.contains("it is held by another run")));
        (child, lines)
    };
    let runs = [fixture.first(), fixture.second()].map(|file| start(&["install", file.as_str()]));
    assert_same(&fixture.snapshot(), &before);
    drop(lock);
    for (mut child, lines) in runs {
        let rest: Vec<String> = lines.collect();
        assert!(child.wait().unwrap().success(), "{rest:?}");
    }
    let files = fs_err::read_dir(fixture.modules().join("extra")).unwrap().count();
    assert_eq!(files, 1, "the second replaced what the first installed");
    fixture.must(&["uninstall", MODULE]);
    assert_same(&fixture.snapshot(), &before);
}

/// A package's scripts run depmod after the kill: recovery must not put an older index over theirs.
fn depmod_between(suite: &Suite) {
    for at in 2..8 {
        let fixture = Fixture::new(suite);
        let tool = fixture.tool(&["install", fixture.first().as_str()]);
        let strace = Cmd::new("strace").args(["-qq", "-o", "/dev/null", "-e", "trace=rename"]);
        let strace = strace.args(["-e", &format!("inject=rename:signal=KILL:when={at}")]);
        let traced = tool.vector().fold(strace, |strace, word| strace.arg(word));
        let traced = tool.environment().iter().fold(traced, |cmd, (name, value)| cmd.env(name, value));
        assert_ne!(run(&traced).0, 0);
        let theirs = fixture.modules().join("updates/nls_utf8.ko.xz");
        fs_err::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs_err::copy(suite.prepared().kdir.stock_module("nls_utf8").unwrap(), &theirs).unwrap();
        fixture.depmod();
        fixture.must(&["status"]);
        let dep = fs_err::read_to_string(fixture.modules().join("modules.dep")).unwrap();
        assert!(dep.contains("updates/nls_utf8.ko.xz:"), "killed at rename {at}: {dep}");
        let left = fixture.snapshot();
        assert!(!left.keys().any(|path| path.as_str().contains("cargo-kmod-")), "killed at rename {at}");
        fixture.must(&["install", fixture.first().as_str()]);
    }
}
