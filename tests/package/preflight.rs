// SPDX-License-Identifier: GPL-2.0
//! What the archive's next kernels will break: with programs that need no kernel, and with two
//! kernels of which one really changed what the other had.

use camino::Utf8PathBuf;
use kernel::kdir::Kdir;
use kmodfile::architecture::Architecture;
use libtest_mimic::Trial;
use matrix::plan::{Plan, PlannedKernel};
use matrix::planning;
use matrix::preflight;
use report::process::Cmd;

use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("preflight::without_a_result_nothing_is_new", |_| without_a_result_nothing_is_new()),
        suite.trial("preflight::nothing_newer_is_good", nothing_newer_is_good),
        suite.trial("preflight::what_breaks_is_told_once", what_breaks_is_told_once),
        suite.trial("preflight::what_changed_is_named", what_changed_is_named),
    ]
}

/// Kernels of which the second has another prototype of a function of the first, and the third
/// lacks one: what Debian really shipped.
const SHIPPED: [&str; 3] = ["7.2.12+deb14-cloud-amd64", "7.2.13+deb14-cloud-amd64", "7.3-cloud-amd64"];

/// A matrix in a directory of its own.
struct Field {
    _dir: tempfile::TempDir,
    dir: Utf8PathBuf,
}

impl Field {
    fn new(projects: &[&str], kernel: &str, step: &str) -> Self {
        let (guard, dir) = scratch();
        let dir = dir.canonicalize_utf8().unwrap();
        let matrix = format!("projects = {projects:?}\nkernels = [{kernel:?}]\nsteps = [{step:?}]\n");
        fs_err::write(dir.join("matrix.toml"), matrix).unwrap();
        Self { _dir: guard, dir }
    }

    fn project(self, name: &str, calls: &str) -> Self {
        let source = format!(
            "#include <linux/module.h>\n#include <linux/bsg-lib.h>\n#include <linux/pci.h>\n\
             #include <linux/seq_file.h>\n\
             static struct device *volatile device;\nstatic struct pci_dev *volatile pci;\n\
             static int __init start(void)\n{{\n\t{calls}\n\treturn 0;\n}}\n\
             module_init(start);\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"{name}\");\n"
        );
        let conf = format!("PACKAGE_NAME={name}\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME={name}\n");
        let kbuild = format!("obj-m := {name}.o\n");
        let dir = self.dir.join(name);
        fs_err::create_dir_all(&dir).unwrap();
        for (file, text) in
            [(format!("{name}.c"), source), ("dkms.conf".into(), conf), ("Kbuild".into(), kbuild)]
        {
            fs_err::write(dir.join(file), text).unwrap();
        }
        self
    }

    /// A program for `run:`.
    fn program(self, name: &str, script: &str) -> Self {
        fs_err::write(self.dir.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        run(&Cmd::new("chmod").args(["+x", name]).cwd(self.dir.clone()));
        self
    }

    fn matrix(&self, words: &[&str]) -> (i32, String) {
        let cmd = tool(&["matrix"]).args(words).args(["--results", "results"]);
        run(&cmd.cwd(self.dir.clone()).env("CARGO_TARGET_DIR", ""))
    }

    /// Preflight, with a program to notify that keeps what it is told.
    fn preflight(&self, words: &[&str]) -> (i32, String) {
        let notify = ["--notify", "sh", "-c", "cat > told; echo \"status $KMOD_PREFLIGHT_STATUS\" >> told"];
        let cmd = tool(&["matrix", "preflight", "--results", "results"]).args(words).args(notify);
        run(&cmd.cwd(self.dir.clone()).env("CARGO_TARGET_DIR", ""))
    }

    /// What the notified program was told; it is forgotten.
    fn told(&self) -> Option<String> {
        let told = fs_err::read_to_string(self.dir.join("told")).ok();
        fs_err::remove_file(self.dir.join("told")).ok();
        told
    }
}

/// The archive's kernels of the flavour that is the default, newest first.
fn kernels(suite: &Suite) -> Vec<PlannedKernel> {
    let mut all = planning::everywhere(suite.context(), Architecture::native().unwrap_or_default()).unwrap();
    let flavour = suite.prepared().kdir.release().flavour().to_owned();
    all.retain(|kernel| kernel.release.flavour() == flavour);
    all
}

fn without_a_result_nothing_is_new() {
    let field = Field::new(&["a"], "newest:1", "build");
    let (status, said) = field.preflight(&[]);
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("there are no results") && said.contains("matrix run"), "{said}");
    assert_eq!(field.told(), None);
}

fn nothing_newer_is_good(suite: &Suite) {
    let newest = kernels(suite)[0].release.to_string();
    let field = Field::new(&["a"], &newest, "run:cell").project("a", "").program("cell", "true");
    let (status, said) = field.matrix(&["run", "matrix.toml"]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = field.preflight(&[]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("no kernel that is newer"), "{said}");
    assert_eq!(field.told(), None);
}

/// The program that is the step fails on all but the kernel that there is a result of.
fn what_breaks_is_told_once(suite: &Suite) {
    let all = kernels(suite);
    let oldest = all.last().unwrap().clone();
    let new = preflight::newer(&Plan::new("", None, Vec::new(), vec![oldest.clone()], Vec::new()), &all);
    let Some(new) = new.first() else {
        eprintln!("not tried, as the archive has one kernel only");
        return;
    };
    let script =
        format!("echo \"saw $KMOD_KERNEL\"; test -e good || test \"$KMOD_KERNEL\" = {}", oldest.release);
    let field =
        Field::new(&["a"], oldest.release.as_str(), "run:cell").project("a", "").program("cell", &script);
    let (status, said) = field.matrix(&["run", "matrix.toml"]);
    assert_eq!(status, 0, "{said}");

    let (status, said) = field.preflight(&["--html", "page.html", "--markdown", "page.md"]);
    assert_eq!(status, 1, "{said}");
    let wanted = format!("{} ({}), after {}\n  a: ", new.release, new.suite, oldest.release);
    assert!(said.contains(&wanted) && said.contains(&format!("saw {}", new.release)), "{wanted}: {said}");
    let told = field.told().unwrap();
    assert!(told.contains(&wanted) && told.ends_with("status 1\n"), "{told}");
    for file in ["page.html", "page.md"] {
        let page = fs_err::read_to_string(field.dir.join(file)).unwrap();
        assert!(page.contains(&new.suite) && page.contains("break"), "{page}");
    }

    // The same again is no news, and what is good now is.
    let (status, _) = field.preflight(&[]);
    assert_eq!((status, field.told()), (1, None));
    fs_err::write(field.dir.join("a/good"), "").unwrap();
    fs_err::write(field.dir.join("a/a.c"), "// Another source, so other cells.\n").unwrap();
    let (status, said) = field.preflight(&[]);
    assert_eq!(status, 0, "{said}");
    let told = field.told().unwrap();
    assert!(told.contains("nothing breaks") && told.ends_with("status 0\n"), "{told}");
    // What there is a result of is as it was.
    let (status, said) = field.matrix(&["run", "--resume"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(oldest.release.as_str()) && !said.contains(new.release.as_str()), "{said}");
}

fn what_changed_is_named(suite: &Suite) {
    let cache = &suite.context().cache;
    let prepared = |release: &&str| Kdir::open(cache, &release.parse().unwrap()).is_some();
    let all = kernels(suite);
    let offered = |release: &&str| all.iter().any(|kernel| kernel.release.as_str() == *release);
    if !SHIPPED.iter().all(prepared) || !SHIPPED[1..].iter().all(offered) {
        eprintln!("not tried, as one of {SHIPPED:?} is not prepared or not in the archive");
        return;
    }
    let [old, next, later] = SHIPPED;
    let both = "char s[4] = \"a\";\n\tif (!mangle_path(s, s, \"x\"))\n\t\t\
                return PTR_ERR_OR_ZERO(bsg_setup_queue(device, s, NULL, NULL, NULL, 0));";
    let field = Field::new(&["queue", "sriov"], old, "build")
        .project("queue", both)
        .project("sriov", "return pci ? pci_sriov_get_totalvfs(pci) : 0;");
    let (status, said) = field.matrix(&["run", "matrix.toml"]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = field.preflight(&[]);
    assert_eq!(status, 1, "{said}");
    let told = field.told().unwrap();
    let part = |release: &str| {
        let rest =
            told.split_once(&format!("\n{release} (")).unwrap_or_else(|| panic!("{release}: {told}")).1;
        rest.split("\n\n").next().unwrap().to_owned()
    };
    let (next, later) = (part(next), part(later));
    for (part, said) in [
        (&next, "  queue: build failed\n    queue.c:"),
        (&next, "error: too few arguments to function 'bsg_setup_queue'"),
        (
            &next,
            "    bsg_setup_queue has another prototype\n      was struct request_queue *bsg_setup_queue(",
        ),
        (&next, "int dd_job_size)\n      now struct request_queue *bsg_setup_queue("),
        (&next, "int dd_job_size, unsigned int reply_len)\n"),
        (&next, "  sriov: passed"),
        (&later, "  sriov: passed\n    pci_sriov_get_totalvfs has another prototype\n      was int pci_"),
        (&later, "  queue: build failed\n    queue.c:"),
        (&later, "    mangle_path is gone; vmlinux exported it\n"),
    ] {
        assert!(part.contains(said), "{said:?}:\n{told}");
    }
}
