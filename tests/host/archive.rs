// SPDX-License-Identifier: GPL-2.0
//! What a run says of the archive's indexes that it finds in the cache.

use kernel::distribution::package::{Dependency, Package};

use crate::tool::{Scratch, run};

const RELEASE: &str = "7.2.1+deb13-cloud-amd64";

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        suite: "trixie".to_owned(),
        architecture: "amd64".to_owned(),
        depends: vec![Dependency { name: "linux-headers-7.2.1+deb13-common".to_owned(), exact: None }],
        size: 1,
        sha256: "0".repeat(64),
        uri: "http://mirror.example/x.deb".to_owned(),
    }
}

/// Indexes as apt leaves them, that of one suite with `until` for the day that it is valid until.
fn indexes(scratch: &Scratch, until: &str) {
    let archive = scratch.cache().join("archive/amd64");
    fs_err::create_dir_all(archive.join("lists")).unwrap();
    fs_err::create_dir_all(scratch.cache().join("archive/configs")).unwrap();
    let headers = package(&format!("linux-headers-{RELEASE}"), "7.2.1-1");
    let known = [headers, package("linux-source-7.2", "7.2.1-1"), package("rustc", "1.85.1+dfsg1-1")];
    fs_err::write(archive.join("packages.json"), serde_json::to_string(&known).unwrap()).unwrap();
    for (suite, until) in [("stable", ""), ("stable-security", until)] {
        let name = format!("lists/mirror.example_debian_dists_{suite}_InRelease");
        let text =
            format!("Origin: Example\nSuite: {suite}\nDate: Sat, 01 Mar 2025 08:00:00 UTC\n{until}SHA256:\n");
        fs_err::write(archive.join(name), text).unwrap();
    }
}

#[test]
fn an_index_that_is_past_its_time_is_named_once_with_its_age() {
    let scratch = Scratch::new();
    let words = ["--json", "--dry-run", "kernel", "prepare", RELEASE];
    indexes(&scratch, "Valid-Until: Sat, 08 Mar 2025 08:00:00 UTC\n");
    let (status, output) = run(&scratch.tool(&words));
    assert_eq!(status, 0, "{output}");
    let warnings: Vec<&str> = output.lines().filter(|line| line.contains("out of date")).collect();
    let [warning] = warnings.as_slice() else { panic!("{output}") };
    assert!(warning.starts_with("warning: ") && warning.contains("stable-security is "), "{warning}");
    assert!(
        warning.contains(" days old and no longer valid for ") && !warning.contains("stable is"),
        "{warning}"
    );

    indexes(&scratch, "Valid-Until: Sat, 08 Mar 2990 08:00:00 UTC\n");
    let (status, output) = run(&scratch.tool(&words));
    assert!(status == 0 && !output.contains("out of date"), "{output}");
}

/// A kernel that is tried out, or is of the previous release, is found when it is named, and is
/// never the default.
#[test]
fn a_named_kernel_is_looked_for_in_what_is_tried_out_and_in_the_previous_release() {
    let scratch = Scratch::new();
    indexes(&scratch, "");
    let config = "CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (x)\"\n";
    fs_err::write(scratch.cache().join("archive/configs").join("0".repeat(64)), config).unwrap();
    for (place, release, suite) in
        [("next", "9.0-cloud-amd64", "experimental"), ("old", "6.1.0-9-cloud-amd64", "bookworm")]
    {
        let dir = scratch.cache().join("archive").join(place).join("amd64");
        fs_err::create_dir_all(&dir).unwrap();
        let headers =
            Package { suite: suite.to_owned(), ..package(&format!("linux-headers-{release}"), "1") };
        fs_err::write(dir.join("packages.json"), serde_json::to_string(&[headers]).unwrap()).unwrap();
    }
    for (words, status, said) in [
        (&["9.0-cloud-amd64"][..], 0, "would prepare 9.0-cloud-amd64 from experimental"),
        (&["6.1.0-9-cloud-amd64"], 0, "would prepare 6.1.0-9-cloud-amd64 from bookworm"),
        (&[], 0, "would prepare 7.2.1+deb13-cloud-amd64 from trixie"),
        (&["9.1-cloud-amd64"], 3, "9.1-cloud-amd64: no such kernel in the archive"),
    ] {
        let (ended, output) = run(&scratch.tool(&[&["--dry-run", "kernel", "prepare"], words].concat()));
        assert!(ended == status && output.contains(said), "{words:?}: {ended} {output}");
    }
}
