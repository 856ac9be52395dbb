// SPDX-License-Identifier: GPL-2.0
//! Nothing is silent for long, without a terminal either: what a run says while it waits.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use report::process::Cmd;

use crate::suite::{Suite, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("progress::a_build_that_takes_long_says_how_far_it_is", build),
        suite.trial("progress::a_package_that_takes_long_says_how_far_it_is", package),
    ]
}

/// A line comes every ten seconds, and a busy machine has a few more.
const GAP: Duration = Duration::from_secs(15);

/// Longer than that without a word.
const SLOW: &str = "obj-m := slow.o\n\nslow:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR) slow.o\n\t@sleep 18\n\
                    \t$(MAKE) -C $(KSRC) M=$(CURDIR) modules\n";

/// What `words` say on standard error for a project that takes long to build.
fn said(suite: &Suite, words: &[&str]) -> Vec<String> {
    let (_dir, project) = scratch();
    for (name, text) in [
        ("dkms.conf", "PACKAGE_NAME=slow\nPACKAGE_VERSION=1\nMAKE=\"make KSRC=$kernel_source_dir slow\"\n"),
        ("Makefile", SLOW),
        (
            "slow.c",
            "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"Slow\");\n",
        ),
    ] {
        fs_err::write(project.join(name), text).unwrap();
    }
    let target = project.join("target");
    let release = suite.prepared().kdir.release().as_str();
    let cmd = tool(&["--target-dir", target.as_str()]).args(words);
    lines(&cmd.args(["--project", project.as_str(), "--kernel", release]))
}

/// The lines of a command that succeeds, none of which is long after the one before.
fn lines(cmd: &Cmd) -> Vec<String> {
    let mut child = cmd.spawn(Stdio::null(), Stdio::piped()).unwrap();
    let (mut said, mut last, mut longest) = (Vec::new(), Instant::now(), Duration::ZERO);
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        longest = longest.max(last.elapsed());
        last = Instant::now();
        said.push(line.unwrap());
    }
    longest = longest.max(last.elapsed());
    assert!(child.wait().unwrap().success(), "{said:?}");
    assert!(longest < GAP, "silent for {longest:?}: {said:?}");
    said
}

fn build(suite: &Suite) {
    let said = said(suite, &["build"]);
    let far = said.iter().find(|line| line.contains("Building slow 1 for") && line.contains(" s: "));
    assert!(far.is_some_and(|line| line.contains(" object, ")), "{said:?}");
}

fn package(suite: &Suite) {
    let (_dir, output) = scratch();
    let said = said(suite, &["rpm", "--output", output.as_str()]);
    assert!(
        said.iter().any(|line| line.contains("Packaging kmod-slow 1 for") && line.contains(" s: ")),
        "{said:?}"
    );
}
