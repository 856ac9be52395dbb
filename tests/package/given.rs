// SPDX-License-Identifier: GPL-2.0
//! What a `dkms.conf` finds when it is read: the variables that the real dkms has set, and the
//! project's files, for the reader and for the shell of `--allow-shell` alike.

use std::collections::BTreeMap;

use camino::Utf8Path;
use dkms_conf::{DkmsConf, Given};
use libtest_mimic::Trial;
use project::build::build;
use project::given::{OF_DKMS_ALONE, exported};
use project::notices::directives;
use project::{BuildTarget, Project, Settings};
use report::process::Cmd;

use crate::machine::Machine;
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("given::the_variables_are_those_of_dkms", the_variables),
        suite.trial("given::a_shell_has_the_variables_of_the_reader", a_shell_has_them),
        suite.trial("given::a_program_of_the_project_has_the_environment_of_dkms", the_environment),
        suite.trial("given::a_dry_run_evaluates_and_says_what_it_would_run", a_dry_run),
        suite.trial("given::the_sandbox_stands_in_the_project_and_is_heard", the_sandbox),
        suite.trial("given::what_keeps_a_file_from_being_read_is_said", unread),
        suite.trial("given::a_version_that_is_set_is_what_a_program_makes_of_it", set_version),
    ]
}

/// What the trials' project is without what they look at.
const HEAD: &str = "PACKAGE_NAME=given\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME=given\n\
                    DEST_MODULE_LOCATION=/extra\nMAKE=true\n";

/// Prints all variables, name and value each ended by NUL.
const ALL: &str = "for name in $(compgen -v); do printf '%s\\0%s\\0' \"$name\" \"${!name}\"; done";

/// Writes the environment, each variable ended by NUL.
const ENVIRONMENT: &str = "#!/bin/sh\nexec env -0 > environment\n";

fn program(file: &Utf8Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::write(file, text).unwrap();
    fs_err::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the real dkms has set when it reads the file, and what it gives a program before make.
fn of_dkms(machine: &Machine<'_>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let shared = machine.shared();
    let source = shared.join("source");
    fs_err::create_dir_all(&source).unwrap();
    let conf = format!("{HEAD}PRE_BUILD=before.sh\n{{ {ALL}; }} > {shared}/variables\n");
    fs_err::write(source.join("dkms.conf"), conf).unwrap();
    program(&source.join("before.sh"), ENVIRONMENT);
    let (_, said) = machine.sh(&format!(
        "cp -r {source} /usr/src/given-1.0 && env -i PATH=$PATH dkms add given/1.0 || exit 99
         env -i PATH=$PATH dkms build given/1.0 -k $KERNEL --kernelsourcedir $KDIR
         cp /var/lib/dkms/given/1.0/build/environment {shared}"
    ));
    let read = |name: &str| fs_err::read_to_string(shared.join(name)).unwrap_or_else(|_| panic!("{said}"));
    let variables = read("variables");
    let fields: Vec<&str> = variables.split_terminator('\0').collect();
    let pairs = fields.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    (pairs, environment(&read("environment")))
}

fn environment(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_terminator('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A project of these trials, `more` in its `dkms.conf`.
fn project_in(dir: &Utf8Path, more: &str) -> Project {
    fs_err::write(dir.join("dkms.conf"), format!("{HEAD}{more}")).unwrap();
    Project::open(dir).unwrap()
}

/// Whether the reader leaves a variable to a running shell.
fn needs_shell(name: &str) -> bool {
    let read = DkmsConf::parse(&format!("A=${{{name}}}")).unwrap().evaluate(&Given::new());
    read.is_err_and(|error| error.needs_shell)
}

fn the_variables(suite: &Suite) {
    let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
    let (theirs, _) = of_dkms(&machine);
    let (_dir, path) = scratch();
    let target = BuildTarget {
        build: machine.ok("echo $KDIR").trim().into(),
        tree: "/var/lib/dkms".into(),
        jobs: machine.ok("nproc").trim().parse().unwrap(),
        ..BuildTarget::of(suite.context(), &path, suite.prepared()).unwrap()
    };
    let mut ours = project_in(&path, "").variables(&target);
    // Which DKMS sets after it has read the file.
    ours.retain(|name, _| !name.starts_with("PACKAGE_"));
    for (name, value) in &ours {
        let theirs = theirs.get(*name).unwrap_or_else(|| panic!("{name}: dkms has none"));
        // Where dkms was called, and with which programs: not this machine's to say.
        if !["PATH", "PWD"].contains(name) {
            assert_eq!(theirs, value, "{name}");
        }
    }
    let known = |name: &str| {
        ours.contains_key(name)
            || OF_DKMS_ALONE.contains(&name)
            || directives().any(|directive| directive == name)
            || needs_shell(name)
            // Of the environment, and of the file itself.
            || ["OLDPWD", "name"].contains(&name)
    };
    let unknown: Vec<_> = theirs.keys().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "dkms has variables that are in no list: {unknown:?}");
}

fn a_shell_has_them(suite: &Suite) {
    let (_dir, path) = scratch();
    let project = project_in(&path, "");
    let target = BuildTarget::of(suite.context(), &path, suite.prepared()).unwrap();
    let mut given = project.variables(&target);
    // There it is nobody's shell, with the PATH of its root; and DKMS leaves one blank of several.
    given.retain(|name, _| !["UID", "EUID", "PATH", "IFS"].contains(name));
    let lines: String = given.keys().map(|name| format!("MAKE+=\"{name}=${{{name}}}|\"\n")).collect();
    let commands = "MAKE+=\"$(nproc) $(nproc --all) `uname -r` $(uname -m) $(pwd)\"\n";
    let conf = format!("{HEAD}f() {{ :; }}\nMAKE=\n{lines}{commands}");
    fs_err::write(path.join("dkms.conf"), conf).unwrap();
    let evaluated = Project::evaluated(suite.context(), &path, &Settings::new(), suite.prepared()).unwrap();
    let expected: String = given.iter().map(|(name, value)| format!("{name}={value}|")).collect();
    let of = |name: &str| given[name].as_str();
    let [jobs, kernel, arch, stage] = ["parallel_jobs", "kernelver", "arch", "PWD"].map(of);
    assert_eq!(evaluated.make, format!("{expected}{jobs} {jobs} {kernel} {arch} {stage}"));
    // The same, read.
    let read = project_in(&path, &format!("MAKE=\n{lines}{commands}")).for_kernel(&target).unwrap();
    assert_eq!(read.make, evaluated.make);
}

/// What a program has besides, DKMS has not: what makes a build the same each time, and the
/// environment of every build root.
const OURS: &[&str] =
    &["HOME", "KBUILD_BUILD_TIMESTAMP", "LC_ALL", "MAKEFLAGS", "STOCK_BTF", "STOCK_MODULES", "TZ"];

fn the_environment(suite: &Suite) {
    let of_shells = ["OLDPWD", "PATH", "PWD", "SHLVL", "_"];
    let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
    let (_, mut theirs) = of_dkms(&machine);
    theirs.retain(|name, _| !of_shells.contains(&name.as_str()));
    let (_dir, path) = scratch();
    program(&path.join("before.sh"), ENVIRONMENT);
    let project = project_in(&path, "PRE_BUILD=before.sh\n");
    build(suite.context(), &project, suite.prepared()).unwrap_err();
    let target = BuildTarget::of(suite.context(), &path, suite.prepared()).unwrap();
    let variables = project.variables(&target);
    let stage = Utf8Path::new(&variables["build_dir"]);
    let mut ours = environment(&fs_err::read_to_string(stage.join("environment")).unwrap());
    ours.retain(|name, _| !of_shells.contains(&name.as_str()) && !OURS.contains(&name.as_str()));
    assert_eq!(ours, theirs);
    // Those of DKMS's own, and the compiler that the kernel was built with.
    assert_eq!(exported(&variables).count() + ["CC", "KERNEL_CC"].len(), theirs.len());
}

fn the_sandbox(suite: &Suite) {
    let (_dir, path) = scratch();
    let release = suite.prepared().kdir.release().as_str();
    let build = |conf: &str| {
        fs_err::write(path.join("dkms.conf"), conf).unwrap();
        let args = ["build", "--allow-shell", "--project", path.as_str(), "--kernel", release];
        run(&tool(&args))
    };
    let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=\"$(cat VERSION)\"\nBUILD_EXCLUSIVE_KERNEL=none\n";
    // What was not there is said, and nothing is made of nothing.
    let (status, output) = build(conf);
    assert!(status == 4 && output.contains("dkms.conf says: cat: VERSION: No such file"), "{output}");
    assert!(output.contains("dkms.conf: PACKAGE_VERSION is empty"), "{output}");
    fs_err::write(path.join("VERSION"), "2.5\n").unwrap();
    let (status, output) = build(conf);
    assert!(status == 77 && output.contains("Value PACKAGE_VERSION='2.5'"), "{output}");
    // It cannot be written to, and its path is that of the copy in which make runs.
    let (status, output) = build(&format!(
        "{conf}touch made && MAKE[1]=made\nMAKE[0]=\"make M=$PWD D=$(dirname \"${{BASH_SOURCE[0]}}\")\"\n"
    ));
    assert!(status == 77 && output.contains("Read-only file system"), "{output}");
    let stage = format!("dkms/{release}/x/2.5/build");
    assert_eq!(output.matches(&stage).count(), 2, "{output}");
    assert!(!output.contains("MAKE[1]") && !path.join("made").exists(), "{output}");
    // git knows the project, if the root has git.
    let git = |args: &[&str]| {
        let own = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-C", path.as_str()];
        assert_eq!(run(&Cmd::new("git").args(own).args(args)).0, 0);
    };
    git(&["init", "--quiet"]);
    git(&["add", "VERSION"]);
    git(&["commit", "--quiet", "-m", "x"]);
    git(&["tag", "v3.1"]);
    let conf = "PACKAGE_NAME=x\nPACKAGE_VERSION=\"$(git describe --tags | tr -d v)\"\n";
    let (status, output) = build(conf);
    assert!(status == 4 && output.contains("git: command not found"), "{output}");
    assert!(output.contains("--package"), "{output}");
}

fn a_dry_run(suite: &Suite) {
    let (_dir, path) = scratch();
    let release = suite.prepared().kdir.release().as_str();
    let witness = path.join("made");
    let conf = format!(
        "PACKAGE_NAME=x\nPACKAGE_VERSION=1.0\nif true; then MAKE='make J=$(nproc)'; fi\ntouch {witness}\n"
    );
    fs_err::write(path.join("dkms.conf"), &conf).unwrap();
    let target = path.join("target");
    let build = |more: &[&str]| {
        let args = ["build", "--dry-run", "--project", path.as_str(), "--target-dir", target.as_str()];
        run(&tool(&[&args[..], more].concat()))
    };
    let (status, output) = build(&["--allow-shell", "--jobs", "3", "--kernel", release]);
    assert!(status == 0 && output.contains("would build"), "{output}");
    assert!(output.contains("Value PACKAGE_VERSION='1.0'"), "{output}");
    // What a build would warn of.
    assert!(output.contains("dkms.conf: no BUILT_MODULE_NAME"), "{output}");
    let line =
        output.lines().find(|line| line.starts_with("would run: ")).unwrap_or_else(|| panic!("{output}"));
    assert!(line.ends_with(&format!("make -j3 KERNELRELEASE={release} J=3")), "{line}");
    assert!(!witness.exists() && !target.exists(), "{output}");
    // What it says of the kernel is said, too.
    fs_err::write(path.join("dkms.conf"), format!("{conf}BUILD_EXCLUSIVE_KERNEL=none\n")).unwrap();
    let (status, output) = build(&["--allow-shell", "--kernel", release]);
    assert!(status == 77 && output.contains("does not match none"), "{output}");
    // Without a kernel there is nothing to evaluate it in.
    let (status, output) = build(&["--allow-shell", "--kernel", "7.2.1-none"]);
    assert!(status == 0 && output.contains("would evaluate"), "{output}");
    let (status, output) = build(&["--kernel", release]);
    assert!(status == 4 && output.contains("--allow-shell"), "{output}");
}

/// What `--allow-shell` says of a file, in a project that is open to `mode`.
fn evaluated(suite: &Suite, text: &str, mode: u32, more: &[&str]) -> (i32, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = scratch();
    let project = path.join("project");
    fs_err::create_dir(&project).unwrap();
    fs_err::write(project.join("dkms.conf"), text).unwrap();
    fs_err::set_permissions(project.join("dkms.conf"), std::fs::Permissions::from_mode(0o600)).unwrap();
    fs_err::set_permissions(&project, std::fs::Permissions::from_mode(mode)).unwrap();
    let release = suite.prepared().kdir.release().as_str();
    let args = ["build", "--dry-run", "--allow-shell", "--kernel", release, "--project", project.as_str()];
    run(&tool(&[&args[..], more].concat()))
}

fn unread(suite: &Suite) {
    let program = format!("{HEAD}if true; then :; fi\n");
    for (text, mode, status, said) in [
        // The file alone may be its owner's: a copy of it is read.
        (program.clone(), 0o755, 0, "would build"),
        (program.clone(), 0o700, 4, "chmod -R o+rX"),
        (format!("{program}exit 0\n"), 0o755, 4, "before it could be asked for the values"),
        (format!("{program}for i in $(seq 20000); do echo much >&2; done\n"), 0o755, 0, "says 13"),
        (format!("{program}while :; do :; done\n"), 0o755, 31, "dkms.conf: was not read to its end in 10 s"),
        // No terminal is there, whoever's.
        (format!("{program}: < /dev/tty || exit 9\n"), 0o755, 4, "/dev/tty: No such file or directory"),
    ] {
        let (is, output) = evaluated(suite, &text, mode, &[]);
        assert!(is == status && output.contains(said), "{said}: {is} {output}");
    }
}

fn set_version(suite: &Suite) {
    let text = "PACKAGE_NAME=x\nPACKAGE_VERSION=@VERSION@\nBUILT_MODULE_NAME=x\nDEST_MODULE_LOCATION=/extra\n\
                if true; then MAKE=\"make V=$PACKAGE_VERSION\"; fi\n";
    let (status, output) = evaluated(suite, text, 0o755, &["--set", "PACKAGE_VERSION=1.2"]);
    let line = output.lines().find(|line| line.starts_with("would run: "));
    assert!(status == 0 && line.is_some_and(|line| line.ends_with(" V=1.2")), "{output}");
}
