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
