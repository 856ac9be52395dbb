// SPDX-License-Identifier: GPL-2.0
//! Removing a build root never reaches the host's files, and a full disk is said. Both need mounts, which are made in a
//! private mount namespace, so that even a failure of the tool could not harm the machine.

use camino::Utf8Path;
use report::process::Cmd;

use crate::tool::{PROGRAM, Scratch, run};

/// A script in mount and PID namespaces of its own; an ordinary user gets a user namespace too.
fn in_namespaces(scratch: &Scratch, script: &str) -> Cmd {
    let user: &[&str] = if kernel::machine::user::is_root() { &[] } else { &["--map-root-user"] };
    Cmd::new("unshare")
        .args(user)
        .args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-eu", "-c", script, "sh"])
        .args([scratch.path().as_str(), PROGRAM])
        .env("XDG_CACHE_HOME", scratch.path())
}

/// A directory that looks like a build root, with a witness below where something will be mounted.
fn root_in(scratch: &Scratch) -> camino::Utf8PathBuf {
    let tree = scratch.cache().join("roots/debian-test-000000000000/tree");
    fs_err::create_dir_all(tree.join("dev")).unwrap();
    fs_err::create_dir_all(tree.join("etc")).unwrap();
    fs_err::write(tree.join("etc/hostname"), "x").unwrap();
    tree
}

fn assert_host_devices_are_whole() {
    for node in ["/dev/null", "/dev/zero", "/dev/urandom"] {
        assert!(Utf8Path::new(node).exists(), "{node} is gone");
    }
}

#[test]
fn a_root_below_which_dev_is_bound_is_not_removed() {
    let scratch = Scratch::new();
    let tree = root_in(&scratch);
    let script = r#"
        mount --bind /dev "$1/cargo-kmod/roots/debian-test-000000000000/tree/dev"
        "$2" kernel gc && exit 99 || status=$?
        test -c /dev/null && exit $status
    "#;
    let (status, output) = run(&in_namespaces(&scratch, script));
    assert_eq!(status, 4, "{output}");
    assert!(output.contains("mounted below it") && output.contains("remedy: umount"), "{output}");
    assert!(tree.join("etc/hostname").exists());
    assert_host_devices_are_whole();
}

#[test]
fn the_removal_itself_detaches_what_is_mounted_before_it_deletes() {
    let scratch = Scratch::new();
    let tree = root_in(&scratch);
    // The second half alone, as if the mount had come between the check and the removal.
    let script = r#"
        mount --bind /dev "$1/cargo-kmod/roots/debian-test-000000000000/tree/dev"
        unshare --mount --pid --fork "$2" remove-root "$1/cargo-kmod/roots/debian-test-000000000000"
        test -c /dev/null && test -c /dev/zero
    "#;
    let (status, output) = run(&in_namespaces(&scratch, script));
    assert_eq!(status, 0, "{output}");
    assert!(!tree.exists());
    assert_host_devices_are_whole();
}

/// `kernel prepare` with a cache on a file system of this size.
fn prepare_on_a_disk_of(size: &str) -> (i32, String) {
    let scratch = Scratch::new();
    let script = format!(
        r#"
        mount -t tmpfs -o size={size} tmpfs "$1"
        export XDG_CACHE_HOME="$1"
        "$2" kernel prepare && exit 99 || exit $?
    "#
    );
    run(&in_namespaces(&scratch, &script))
}

#[test]
fn a_full_disk_is_said_with_what_to_do() {
    // Too small for the archive's indexes; too small for a kernel.
    for (size, what) in
        [("200k", "the archive's indexes need up to"), ("400m", "a kernel with its build root needs")]
    {
        let (status, output) = prepare_on_a_disk_of(size);
        assert_eq!(status, 3, "{output}");
        assert!(output.contains("free, and") && output.contains(what), "{output}");
        assert!(output.contains("remedy: make room"), "{output}");
    }
}
