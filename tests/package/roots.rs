// SPDX-License-Identifier: GPL-2.0
//! Build roots: what a command in one sees, and what it leaves behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use kernel::root::scratch::Scratch;
use kernel::root::{Access, mounts, removal};
use libtest_mimic::Trial;
use report::process::Cmd;

use crate::suite::{PROGRAM, Suite, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("root::a_command_sees_only_what_it_was_given", sees_only_what_it_was_given),
        suite.trial("root::the_tree_is_read_only", the_tree_is_read_only),
        suite.trial("root::a_scratch_is_written_to_and_the_tree_is_not", a_scratch_is_written_to),
        suite.trial("root::no_mount_outlives_a_command", no_mount_outlives_a_command),
        suite.trial("root::a_stopped_tool_leaves_no_process", a_stopped_tool_leaves_no_process),
        suite.trial("root::one_that_was_being_made_when_the_tool_was_killed_is_made_anew", killed_while_made),
        suite.trial("root::errors_show_the_command_as_typed_inside", errors_show_the_command),
    ]
}

/// Runs `sh -c script` in the kernel's root.
fn sh(suite: &Suite, script: &str, access: &Access) -> String {
    let cmd = Cmd::new("sh").args(["-c", script]);
    suite.prepared().root.inside(suite.context(), cmd, access).read(&suite.context().report).unwrap()
}

fn sees_only_what_it_was_given(suite: &Suite) {
    let (_dir, given) = scratch();
    let (_other, hidden) = scratch();
    fs_err::write(given.join("a"), "seen").unwrap();
    fs_err::write(hidden.join("b"), "").unwrap();
    let access = Access::default().read(&given);
    let script = format!(
        "cat {given}/a; test -e {hidden} || echo ' hidden'; id -u; echo $HOME; env | grep -c CARGO; touch {given}/c 2>/dev/null || echo kept; grep -c : /proc/net/dev"
    );
    // One line in /proc/net/dev with a colon is the loopback interface: there is no other.
    assert_eq!(sh(suite, &script, &access), "seen hidden\n0\n/tmp\n0\nkept\n1");
}

fn the_tree_is_read_only(suite: &Suite) {
    let Some(root) = suite.prepared().root.tree() else { return };
    let script =
        "touch /usr/x 2>/dev/null || echo kept; touch /tmp/x && echo scratch; touch /dev/null && echo device";
    assert_eq!(sh(suite, script, &Access::default()), "kept\nscratch\ndevice");
    assert!(!root.tree().join("tmp/x").exists());
}

fn a_scratch_is_written_to(suite: &Suite) {
    let Some(root) = suite.prepared().root.tree() else { return };
    let context = suite.context();
    // A path with what separates layers and options.
    let dir = tempfile::tempdir_in(context.cache.path("")).unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap().join("a:b,c");
    let layer = dir.join("layer");
    fs_err::create_dir_all(layer.join("usr/share/layer")).unwrap();
    fs_err::write(layer.join("usr/share/layer/file"), "of the layer").unwrap();
    let tree = Scratch::over(root, &dir.join("changes")).unwrap().with_layer(&layer);
    let sh = |script: &str| tree.read(context, Cmd::new("sh").args(["-c", script])).unwrap();
    sh("echo written > /usr/x; rm /usr/bin/make; mv /usr/share/layer /usr/share/moved");
    assert_eq!(
        sh("cat /usr/x /usr/share/moved/file; test -e /usr/bin/make || echo ' gone'"),
        "written\nof the layer gone"
    );
    assert!(!root.tree().join("usr/x").exists() && root.tree().join("usr/bin/make").exists());
    assert!(layer.join("usr/share/layer/file").exists());
    assert!(mounts::below(root.tree()).unwrap().is_empty());
    tree.remove(context).unwrap();
    assert!(!dir.join("changes").exists());
}

fn no_mount_outlives_a_command(suite: &Suite) {
    let Some(root) = suite.prepared().root.tree() else { return };
    let before = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let (_dir, given) = scratch();
    assert_ne!(sh(suite, "cat /proc/self/mountinfo", &Access::default().write(&given)), "");
    assert_eq!(fs_err::read_to_string("/proc/self/mountinfo").unwrap(), before);
    assert!(mounts::below(root.tree()).unwrap().is_empty());
    assert!(fs_err::read_dir(root.tree().join("dev")).unwrap().next().is_none(), "device nodes in the tree");
}

/// Killed, and stopped with Ctrl-C, which every process of the terminal's group gets, while a build
/// runs in the root.
fn a_stopped_tool_leaves_no_process(suite: &Suite) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let release = suite.prepared().kdir.release().as_str();
    for (number, stop) in [kill_process, kill_process_group].into_iter().enumerate() {
        let signal = [Signal::KILL, Signal::INT][number];
        let (_dir, project) = scratch();
        // A duration that nothing else sleeps for marks the process.
        let mark = format!("{}.{number}", 86_400 + std::process::id());
        fs_err::write(project.join("dkms.conf"), sleeper(&mark)).unwrap();
        // Whoever starts the tests in the background may have had them ignore the interrupt.
        let outer = ["--default-signal=INT", "setsid", PROGRAM];
        let cmd = Cmd::new("env").args(outer).args(["build", "--kernel", release, "--project"]).arg(&project);
        let mut parent = cmd.spawn(Stdio::null(), Stdio::null()).unwrap();
        wait_until(|| running(&mark), "the command never started");
        stop(Pid::from_child(&parent), signal).unwrap();
        let status = parent.wait().unwrap();
        assert!(!status.success(), "{status}");
        wait_until(|| !running(&mark), "the command outlived the tool");
        if let Some(root) = suite.prepared().root.tree() {
            assert!(mounts::below(root.tree()).unwrap().is_empty());
        }
    }
}

/// A `dkms.conf` whose make takes longer than the trial.
fn sleeper(mark: &str) -> String {
    format!(
        "PACKAGE_NAME=sleeper\nPACKAGE_VERSION={mark}\nBUILT_MODULE_NAME=sleeper\n\
         DEST_MODULE_LOCATION=/extra\nMAKE=\"sleep {mark}\"\n"
    )
}

/// Whether a process has `mark` as an argument of its own, after `sleep`.
fn running(mark: &str) -> bool {
    let wanted = format!("sleep\0{mark}\0");
    let processes = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool, otherwise: &str) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// In a cache of its own: killed while mmdebstrap works, which must end too, and the next run
/// starts over.
fn killed_while_made(suite: &Suite) {
    let (_dir, base) = scratch();
    let cache = base.join("cargo-kmod");
    fs_err::create_dir(&cache).unwrap();
    std::os::unix::fs::symlink(suite.context().cache.path("archive"), cache.join("archive")).unwrap();
    let release = suite.prepared().kdir.release().as_str();
    let partial =
        cache.join("roots").join(format!("{}.partial", suite.prepared().kdir.stamp().recipe.identity()));
    let mark = partial.as_str();
    // Killed once mmdebstrap has said its first word.
    let killed = || {
        let log = partial.join("mmdebstrap.log");
        fs_err::remove_file(&log).ok();
        let cmd = tool(&["kernel", "prepare", release, "--root-fs", "made"]).env("XDG_CACHE_HOME", &base);
        let mut child = cmd.spawn(Stdio::null(), Stdio::piped()).unwrap();
        wait_until(|| log.metadata().is_ok_and(|meta| meta.len() > 0), "mmdebstrap never started");
        assert!(mentioned("mmdebstrap", mark));
        child.kill().unwrap();
        child.wait().unwrap();
        std::io::read_to_string(child.stderr.take().unwrap()).unwrap()
    };
    let first = killed();
    assert!(!first.contains("Discarding"), "{first}");
    wait_until(|| !mentioned("mmdebstrap", mark), "mmdebstrap outlived the tool");
    assert!(partial.exists() && !cache.join("kernels").exists());
    let second = killed();
    assert!(
        second.contains("Discarding") && second.contains("left incomplete by a run that was stopped"),
        "{second}"
    );
    wait_until(|| !mentioned("mmdebstrap", mark), "mmdebstrap outlived the tool");
    assert!(mounts::below(&base).unwrap().is_empty());
    removal::remove(suite.context(), &partial).unwrap();
}

/// Whether a process has both words in its command line.
fn mentioned(program: &str, word: &str) -> bool {
    let processes = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| fs_err::read_to_string(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| line.contains(program) && line.contains(word))
}

fn errors_show_the_command(suite: &Suite) {
    let root = &suite.prepared().root;
    let cmd = Cmd::new("ls").arg("/no/such place");
    let error =
        root.inside(suite.context(), cmd, &Access::default()).run(&suite.context().report).unwrap_err();
    let shown = match root.tree() {
        None => "`ls '/no/such place'`".to_owned(),
        Some(root) => format!("`[{}] ls '/no/such place'`", root.name()),
    };
    assert!(error.to_string().starts_with(&shown), "{error}");
    let missing = root.inside(suite.context(), Cmd::new("no-such-program"), &Access::default());
    let error = missing.run(&suite.context().report).unwrap_err().to_string();
    assert!(error.contains("no-such-program") && error.contains("no such program"), "{error}");
}
