// SPDX-License-Identifier: GPL-2.0
//! Commands run again when what they are asked for is so already, as after a run that was killed
//! at its end: they end well and say so. What needs a kernel or a system is with those tests:
//! `install`, `uninstall`, `sign`, `weak-modules`, `dkms`.

use crate::tool::{Scratch, run};

const RELEASE: &str = "7.2.1+deb13-cloud-amd64";

/// The command ends with `status` and says `text`.
#[track_caller]
fn ends(scratch: &Scratch, words: &[&str], status: i32, text: &str) {
    let (found, output) = run(&scratch.tool(words));
    assert_eq!(found, status, "{words:?}: {output}");
    assert!(output.contains(text), "{words:?} does not say {text:?}: {output}");
}

#[test]
fn a_kernel_that_was_removed_is_removed() {
    let scratch = Scratch::new();
    let place = scratch.cache().join("kernels").join(RELEASE);
    let remove = ["kernel", "remove", RELEASE];
    ends(&scratch, &remove, 3, "is not prepared, nor was it");
    // As a run that was killed leaves it, without a stamp.
    fs_err::create_dir_all(place.join("build")).unwrap();
    ends(&scratch, &remove, 0, "");
    assert!(!place.exists());
    ends(&scratch, &remove, 0, "nothing is left to remove");
    ends(&scratch, &["kernel", "remove", "7.2.1+deb13-cloud-amd46"], 3, "nor was it");
}

#[test]
fn setup_comes_and_goes_twice() {
    let scratch = Scratch::new();
    let prefix = scratch.path().join("prefix");
    let setup = ["setup", "--prefix", prefix.as_str()];
    let uninstall = [&setup[..], &["--uninstall"]].concat();
    ends(&scratch, &setup, 0, "are in");
    ends(&scratch, &setup, 0, "are in");
    ends(&scratch, &uninstall, 0, "removed from");
    ends(&scratch, &uninstall, 0, "nothing is left to do");
}

#[test]
fn a_dkms_conf_is_written_once_and_an_edit_is_kept() {
    let scratch = Scratch::new();
    let project = scratch.path().join("plain");
    fs_err::create_dir(&project).unwrap();
    fs_err::write(project.join("Kbuild"), "obj-m := made.o\n").unwrap();
    fs_err::write(project.join("made.c"), "").unwrap();
    let conf = ["dkms", "conf", "--project", project.as_str()];
    ends(&scratch, &conf, 0, "wrote");
    ends(&scratch, &conf, 0, "is just what would be written");
    let file = project.join("dkms.conf");
    let edited = fs_err::read_to_string(&file).unwrap() + "# mine\n";
    fs_err::write(&file, &edited).unwrap();
    ends(&scratch, &conf, 4, "is there already, with other content");
    assert_eq!(fs_err::read_to_string(&file).unwrap(), edited);
}

/// A key is never replaced, nor taken for the one that was asked for.
#[test]
fn a_second_key_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("key");
    let new = ["key", "new", "--output", dir.as_str()];
    ends(&scratch, &new, 0, "MOK.pem");
    ends(&scratch, &new, 4, "a key is never overwritten");
}

#[test]
fn links_that_are_gone_are_gone() {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fs_err::create_dir_all(root.join("lib/modules").join(RELEASE).join("kernel")).unwrap();
    let weak = ["weak-modules", "--root", root.as_str()];
    for words in [&["--remove-kernel", RELEASE][..], &["--remove-kernel", "6.1.1"], &["--remove-modules"]] {
        ends(&scratch, &[&weak[..], words].concat(), 0, "no link has to be made or removed");
    }
    ends(&scratch, &[&weak[..], &["--add-kernel", "6.1.1"]].concat(), 3, "kernel 6.1.1: is not installed");
}
