// SPDX-License-Identifier: GPL-2.0
//! What the tool makes of a `dkms.conf` before any kernel is prepared.

use camino::Utf8PathBuf;

use crate::tool::{Scratch, assert_refused, run};

/// A project of these files.
fn project(scratch: &Scratch, files: &[(&str, &str)]) -> Utf8PathBuf {
    let dir = scratch.path().join("p");
    for (name, text) in files {
        let file = dir.join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    dir
}

const HEAD: &str = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\n";

/// For `build` and `install` alike.
#[test]
fn two_modules_with_one_name_are_refused_at_the_dkms_conf() {
    let scratch = Scratch::new();
    let conf = format!("{HEAD}BUILT_MODULE_NAME=(a b)\nDEST_MODULE_NAME=(s-1 s_1)\n");
    let dir = project(&scratch, &[("dkms.conf", &conf)]);
    fs_err::create_dir_all(scratch.path().join("lib/modules")).unwrap();
    for command in [&["build"][..], &["install", "--root", scratch.path().as_str()]] {
        let tool = scratch.tool(&[command, &["--project", dir.as_str()]].concat());
        let object = dir.join("dkms.conf");
        assert_refused(&tool, 4, object.as_str(), "DEST_MODULE_NAME[1]: s_1 is, as s-1", "DEST_MODULE_NAME");
    }
}

#[test]
fn a_kernel_that_is_named_twice_is_built_for_once() {
    let scratch = Scratch::new();
    let dir = project(&scratch, &[("dkms.conf", HEAD)]);
    let kernels = ["--kernel", "7.2.13+deb14-amd64", "--kernel", "7.2.13+deb14-amd64"];
    let words = [&["build", "--dry-run", "--project", dir.as_str()], &kernels[..]].concat();
    let (status, output) = run(&scratch.tool(&words));
    assert!(status == 0 && output.matches("would build x 1 for 7.2.13").count() == 1, "{output}");
    let variants =
        ["rpm", "--dry-run", "--project", dir.as_str(), "--kernel", "7.2.13", "--kvariants", "-rt +rt"];
    fs_err::write(dir.join("x.c"), "// SPDX-License-Identifier: GPL-2.0\n").unwrap();
    let tool = scratch.tool(&variants);
    assert_refused(&tool, 2, "7.2.13+rt", "the name of that for 7.2.13-rt", "each variant once");
}

#[test]
fn what_is_there_in_place_of_a_dkms_conf_is_named() {
    let scratch = Scratch::new();
    let dir = project(&scratch, &[("dkms.conf.in", ""), ("dkms/dkms.conf", HEAD), ("src/x.c", "")]);
    let tool = scratch.tool(&["build", "--project", dir.as_str()]);
    assert_refused(&tool, 2, dir.as_str(), "there is dkms.conf.in, a template", "--project DIR");
    let (_, output) = run(&tool);
    assert!(output.contains(&format!("there is dkms/dkms.conf: --project {dir}/dkms")), "{output}");
    // And by a command that cannot do without.
    fs_err::write(dir.join("Kbuild"), "obj-m := x.o\n").unwrap();
    let (_, output) = run(&scratch.tool(&["rpm", "--project", dir.as_str()]));
    assert!(output.contains("there is dkms/dkms.conf"), "{output}");
}

#[test]
fn a_placeholder_for_the_version_is_shown_and_replaced() {
    let scratch = Scratch::new();
    let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=__VERSION__\n";
    let dir = project(&scratch, &[("dkms.conf", conf)]);
    let build = |more: &[&str]| {
        let words = ["build", "--dry-run", "--kernel", "7.2.1", "--project", dir.as_str()];
        scratch.tool(&[&words[..], more].concat())
    };
    let reason = "PACKAGE_VERSION is __VERSION__, a placeholder";
    assert_refused(&build(&[]), 4, dir.join("dkms.conf").as_str(), reason, "--set PACKAGE_VERSION=…");
    let (status, output) = run(&build(&["--set", "PACKAGE_VERSION=2.5"]));
    assert!(status == 0 && output.contains("would build x 2.5 for 7.2.1"), "{output}");
    let malformed = build(&["--set", "PACKAGE_VERSION=2 5"]);
    assert_refused(&malformed, 4, "dkms.conf", "PACKAGE_VERSION is \"2 5\"", "--set PACKAGE_VERSION=…");
}
