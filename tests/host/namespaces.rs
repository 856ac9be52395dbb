// SPDX-License-Identifier: GPL-2.0
//! Removing a build root never reaches the host's files, and a full disk is said. Both need mounts,
//! which are made in a private mount namespace, so that even a failure of the tool could not harm
//! the machine.

use camino::Utf8Path;
use kernel::context::Context;
use kernel::distribution::debian;
use kernel::root::tree::TreeRoot;
use kernel::root::{Access, mounts, removal};
use report::Report;
use report::cache::Cache;
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
    assert!(output.contains("are mounted below it") && output.contains("remedy: umount"), "{output}");
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

/// What separates words, lines, options, layers and pairs somewhere between the tool and the
/// kernel.
const ODD: &str = "a: b\nc,d=e\\040'f\"";

#[test]
fn paths_of_any_name_reach_a_build_root_and_are_mounted_and_removed_there() {
    let scratch = Scratch::new();
    let place = scratch.path().join(ODD);
    let context = Context::new(Report::silent(), Cache::at(place.join("cache")).unwrap(), PROGRAM.into());
    let recipe = debian::recipe("made-here", Vec::new());
    let made = context.cache.path("roots").join(recipe.identity());
    let tree = made.join("tree");
    for dir in ["dev", "proc", "tmp", "run", "usr"] {
        fs_err::create_dir_all(tree.join(dir)).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        fs_err::os::unix::fs::symlink(format!("usr/{link}"), tree.join(link)).unwrap();
    }
    fs_err::write(made.join("stamp.json"), "").unwrap();
    let (seen, written) = (place.join("seen"), place.join("written"));
    fs_err::write(&seen, "content").unwrap();
    fs_err::create_dir(&written).unwrap();

    let elsewhere = format!("/run/{ODD}");
    let access = Access::default().read("/usr").read(&seen).read_at(&seen, &elsewhere).write(&written);
    let script = r#"cat "$1" "$2" > made; printf %s "$VALUE" >> made"#;
    let cmd = Cmd::new("sh").args(["-c", script, "sh", &elsewhere, seen.as_str()]);
    let cmd = cmd.cwd(&written).env("VALUE", ODD);
    let root = TreeRoot::provide(&context, &recipe).unwrap();
    root.inside(&context, cmd, &access).run(&context.report).unwrap();
    assert_eq!(fs_err::read_to_string(written.join("made")).unwrap(), format!("contentcontent{ODD}"));
    assert!(mounts::below(&place).unwrap().is_empty());
    removal::remove(&context, &made).unwrap();
    assert!(!made.exists() && seen.exists());
}

#[test]
fn a_mount_below_a_root_of_any_name_is_seen_and_the_root_is_not_removed() {
    let scratch = Scratch::new();
    let tree = scratch.path().join(ODD).join("cargo-kmod/roots/debian-test-000000000000/tree");
    fs_err::create_dir_all(tree.join("dev")).unwrap();
    let script = r#"
        mount --bind /dev "$3/dev"
        XDG_CACHE_HOME="${3%/cargo-kmod/*}" "$2" kernel gc && exit 99 || exit $?
    "#;
    let (status, output) = run(&in_namespaces(&scratch, script).arg(&tree));
    assert_eq!(status, 4, "{output}");
    assert!(output.contains("are mounted below it") && tree.join("dev").exists(), "{output}");
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
        assert!(output.contains("free, but") && output.contains(what), "{output}");
        assert!(output.contains("remedy: make room"), "{output}");
    }
}
