// SPDX-License-Identifier: GPL-2.0
//! `--dry-run` changes nothing, whatever the command: no name, mode, content or time outside the
//! cache's locks.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;
use kernel::distribution::package::{Dependency, Package};
use kernel::kdir::Stamp;
use kernel::origin::Origin;
use object::Architecture;
use report::process::Cmd;
use walkdir::WalkDir;

use crate::command_line::commands;
use crate::elf::{Exports, module};
use crate::tool::{PROGRAM, Scratch, run};

const RELEASE: &str = "7.2.1+deb13-cloud-amd64";

/// Lines of a command, without its own words: how each ends, and what it says. `{}` is the scratch
/// directory.
type Line = (&'static [i32], &'static str, &'static str);

/// What every command is given, so that it comes as far as it can without a network.
const LINES: &[(&str, &[Line])] = &[
    ("bench", &[(&[0], "build", "would measure build")]),
    (
        "build",
        &[
            (&[0], "--project {}/project", "would build made 1"),
            (&[0], "--project {}/project --kernel 7.2.1+deb13-cloud-amd64", "would build made 1 for 7.2.1"),
            (&[0], "--project {}/project --all-kernels", "would build made 1 for 7.2.1"),
            (&[0], "--import-only --project {}/import --kernel 7.2.1+deb13-cloud-amd64", "would lay out"),
        ],
    ),
    ("completions", &[(&[0], "bash", "complete")]),
    ("demo", &[(&[0], "", "would prepare the kernel")]),
    ("doctor", &[(&[0, 3], "", "prepared kernels")]),
    ("enter-root", &[(&[1], "--root {}/root -- touch {}/new", "namespaces of its own")]),
    ("dkms conf", &[(&[0], "--project {}/plain", "would write {}/plain/dkms.conf")]),
    ("remove-root", &[(&[1], "{}/root", "namespaces of its own")]),
    (
        "insmod",
        &[
            (&[0, 3], "--project {}/project", "would"),
            (&[0, 3], "{}/made.ko", "would"),
            (&[0, 3], "--secure-boot --project {}/project", "would"),
            (&[0, 3], "--sanitize --ktap {}/new --project {}/project", "would"),
        ],
    ),
    (
        "inspect",
        &[
            (&[0], "{}/made.ko", "7.2.1"),
            (&[0], "{}/made.ko --kernel 7.2.9-cloud-amd64", "would prepare kernel 7.2.9"),
        ],
    ),
    (
        "install",
        &[
            (&[0, 4], "{}/made.ko --root {}/root --force", "made"),
            (&[0], "--project {}/project --root {}/root", "would build made 1"),
        ],
    ),
    ("trial", &[(&[0], "7.2.1+deb13-cloud-amd64", "would try 7.2.1")]),
    (
        "vm run",
        &[
            (&[0, 3], "--bare -- true", "would"),
            (&[0, 3], "--project {}/project -- true", "would"),
            (&[0, 3], "--module {}/made.ko --share {} -- touch {}/new", "would"),
        ],
    ),
    ("vm shell", &[(&[0, 3], "--bare", "")]),
    ("uninstall", &[(&[3], "made --root {}/root", "is not installed")]),
    ("status", &[(&[0], "--root {}/root", "has not installed any module")]),
    ("kernel gc", &[(&[0], "", "would remove {}/cargo-kmod/archive/old/debs")]),
    (
        "kernel package",
        &[(&[0], "7.2.1+deb13-cloud-amd64 --output {}/new", "would package the Rust artefacts of 7.2.1")],
    ),
    ("kernel list", &[(&[0], "", RELEASE), (&[0], "--installed", "is running")]),
    (
        "kernel prepare",
        &[
            (&[0], "", "would prepare 7.2.1"),
            (&[0], "7.2.1+deb13-cloud-amd64", "would prepare 7.2.1"),
            (
                &[0],
                "7.2.1+deb13-cloud-amd64 7.2.1+deb13-cloud-amd64 7.2.1+deb13-cloud-amd64-sanitize",
                "would build the sanitizing kernel of 7.2.1",
            ),
            (&[0], "--sanitize", "would build the sanitizing kernel of 7.2.1"),
            (&[4], "--source {}/project", "not a kernel's source"),
        ],
    ),
    ("kernel remove", &[(&[0], "7.2.1+deb13-cloud-amd64", "would remove {}/cargo-kmod/kernels/7.2.1")]),
    ("key new", &[(&[0], "", "would make"), (&[0], "--output {}/new", "would make")]),
    (
        "man",
        &[(&[0], "--output {}/new", "would write"), (&[0], "kernel remove", "cargo-xtask-kernel-remove")],
    ),
    (
        "matrix plan",
        &[(&[0], "--project {}/project --kernel prepared --output {}/new", "would write {}/new")],
    ),
    (
        "matrix run",
        &[
            (&[0], "--project {}/project --kernel prepared --results {}/new", "would run made on 7.2.1"),
            (&[3], "{}/matrix.toml", "cannot be read"),
        ],
    ),
    ("matrix cell", &[(&[3], "0123 --results {}/new", "there are no results")]),
    (
        "matrix report",
        &[
            (&[0], "--results {}/results --html {}/new", "would write {}/new"),
            (&[0], "--results {}/results --junit - --markdown {}/new", "1 lost; 1 cell took"),
            (&[2], "--results {}/results --junit - --markdown -", "give all but one a file"),
            (&[3], "--results {}/new", "there are no results"),
        ],
    ),
    (
        "matrix submit",
        &[
            (
                &[0],
                "--slurm --project {}/project --kernel prepared --results {}/new --limit 2 --sbcast",
                "would run: sbatch --parsable --requeue",
            ),
            (&[2], "--project {}/project --kernel prepared", "--slurm"),
        ],
    ),
    (
        "matrix status",
        &[
            (&[3], "--results {}/new", "there are no results"),
            (&[3], "--results {}/results", "nothing was submitted with results there"),
        ],
    ),
    ("matrix collect", &[(&[3], "--results {}/new --wait", "there are no results")]),
    ("matrix cancel", &[(&[3], "--results {}/new", "there are no results")]),
    ("matrix task", &[(&[2], "--results {}/new --nonce x", "is not set: this command is for Slurm's")]),
    ("matrix ci github", &[(&[0], "made.toml --output {}/new", "would write {}/new")]),
    ("matrix ci gitlab", &[(&[3], "matrix.toml --output {}/new", "cannot be read")]),
    (
        "matrix preflight",
        &[
            (&[3], "--results {}/new", "there are no results"),
            (&[2], "--results {}/results --html - --markdown -", "give all but one a file"),
            (&[0, 3], "--results {}/results --html {}/new --notify touch {}/new", ""),
        ],
    ),
    ("matrix merge", &[(&[3], "{}/project --results {}/new", "there are no results")]),
    (
        "new",
        &[
            (&[0], "made-anew", "would write made-anew/"),
            (&[3], "made-anew --fix fs/nls --kernel 7.2.1+deb13-cloud-amd64", "fetch packages"),
        ],
    ),
    ("patch refresh", &[(&[3], "--project {}/import --kernel 7.2.1+deb13-cloud-amd64", "fetch packages")]),
    (
        "rpm",
        &[(&[0], "--project {}/project --kernel 7.2.1+deb13-cloud-amd64 --output {}/new", "would package")],
    ),
    (
        "setup",
        &[
            (&[0], "--prefix {}/new", "would write {}/new/share/man/man1/"),
            (&[0], "--prefix {}/home --uninstall", "would remove {}/home/share/man/man1/"),
        ],
    ),
    ("sign", &[(&[0], "{}/made.ko --key {}/key/MOK.priv --cert {}/key/MOK.pem", "would sign")]),
    ("test", &[(&[0], "host", "would run")]),
    ("verify", &[(&[0], "{}/made.ko", "would read")]),
    (
        "weak-modules",
        &[
            (&[0], "--add-kernel 7.2.1+deb13-cloud-amd64 --root {}/root", ""),
            (&[0], "--remove-kernel 7.2.1+deb13-cloud-amd64 --root {}/root", "remove"),
            (&[0], "--add-modules --root {}/root", ""),
            (&[0], "--remove-modules --root {}/root", ""),
        ],
    ),
];

/// The same words for each of DKMS's steps: the machine may have no dkms, and `--dry-run` installs
/// none.
const DKMS: &[Line] =
    &[(&[0, 1, 3, 77], "--project {}/project --root {}/root --kernel 7.2.1+deb13-cloud-amd64", "")];
const DKMS_STATUS: &[Line] = &[(&[0, 1, 3], "--root {}/root", "")];

fn lines(command: &str) -> &'static [Line] {
    if let Some((_, lines)) = LINES.iter().find(|(words, _)| *words == command) {
        return lines;
    }
    match command.replace("dkms-", "dkms ").strip_prefix("dkms ") {
        Some("status") => DKMS_STATUS,
        Some(_) => DKMS,
        None => panic!("`{command}` is never run with --dry-run: add a line for it"),
    }
}

#[test]
fn a_dry_run_of_any_command_changes_nothing() {
    let scratch = Scratch::new();
    let temporary = Scratch::new();
    let dir = scratch.path();
    lay_out(&scratch);
    for command in commands() {
        for (statuses, words, said) in lines(&command) {
            let words = line_of(&scratch, &command, words);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let before = Snapshot::of(&scratch);
            let (status, output) = run(&at_home(&scratch, &words).env("TMPDIR", temporary.path()));
            let line = words.join(" ");
            assert!(statuses.contains(&status), "{line}: status {status}\n{output}");
            let said = said.replace("{}", dir.as_str());
            assert!(output.contains(&said), "{line} does not say {said:?}:\n{output}");
            before.require_same(&Snapshot::of(&scratch), &line);
            let left = temporary.path().read_dir_utf8().unwrap().count();
            assert_eq!(left, 0, "{line} left something in the temporary directory");
        }
    }
}

/// What a command has to say at its work, and not only its help and its errors of usage.
#[test]
fn no_command_at_work_panics_over_outputs_that_cannot_be_written() {
    let scratch = Scratch::new();
    lay_out(&scratch);
    for command in commands() {
        for (statuses, words, _) in lines(&command) {
            let words = line_of(&scratch, &command, words);
            for spoilt in [">/dev/full 2>/dev/full", "2>&-"] {
                let script = format!(r#""$@" {spoilt}"#);
                let cmd = of_home(&scratch, Cmd::new("sh").args(["-c", &script, "sh", PROGRAM]).args(&words));
                let (status, _) = run(&cmd);
                // A result that was asked for and could not be written is a failure.
                let right = statuses.contains(&status) || (status == 1 && spoilt.starts_with('>'));
                assert!(right, "{words:?}: status {status}");
            }
        }
    }
}

/// The words of a line of the table, for the program.
fn line_of(scratch: &Scratch, command: &str, words: &str) -> Vec<String> {
    let words = words.replace("{}", scratch.path().as_str());
    let words = ["--dry-run"].into_iter().chain(command.split(' ')).chain(words.split(' '));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The tool with everything of the user's in the scratch directory.
fn at_home(scratch: &Scratch, words: &[&str]) -> Cmd {
    of_home(scratch, Cmd::new(PROGRAM).args(words))
}

fn of_home(scratch: &Scratch, cmd: Cmd) -> Cmd {
    let dir = scratch.path();
    let cmd = cmd.cwd(dir.join("project")).env("XDG_CACHE_HOME", dir).env("HOME", dir.join("home"));
    cmd.env("XDG_DATA_HOME", dir.join("home/data")).env("CARGO_TARGET_DIR", dir.join("target"))
}

/// What there is to change: projects, a module, a key, a system, and a cache with a kernel, a root
/// and packages.
fn lay_out(scratch: &Scratch) {
    let dir = scratch.path();
    let (status, output) =
        run(&at_home(scratch, &["key", "new", "--output", dir.join("key").as_str()]).cwd(dir));
    assert_eq!(status, 0, "{output}");
    write(&dir.join("home/.profile"), "");
    let conf = "PACKAGE_NAME=made\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=made\nDEST_MODULE_LOCATION=/extra\n";
    for name in ["project", "import"] {
        write(&dir.join(name).join("dkms.conf"), conf);
        write(&dir.join(name).join("Kbuild"), "obj-m := made.o\n");
        write(&dir.join(name).join("made.c"), "");
    }
    write(&dir.join("plain/Kbuild"), "obj-m := made.o\n");
    write(&dir.join("project/made.toml"), "projects = [\".\"]\nkernels = [\"prepared\"]\n");
    let spec = fs_err::read_to_string(xtask::repository().join("kmod.spec")).unwrap();
    let head = |line: &str| match line.split_whitespace().take(2).collect::<Vec<_>>()[..] {
        ["%global", "kmod_name"] => "%global kmod_name made".to_owned(),
        ["%global", "kmod_version"] => "%global kmod_version 1".to_owned(),
        _ => line.to_owned(),
    };
    let spec = spec.lines().map(|line| head(line) + "\n").collect::<String>();
    write(&dir.join("project/kmod.spec"), &spec);
    let built = dir.join("target/kmod/made-1").join(RELEASE);
    write(&built.join("source/fs/nls/x.c"), "edited");
    write(&built.join("source.json"), "{}");
    write(&dir.join("import/import.toml"), "kernel = [\"fs/nls\"]\n");
    let made = module(Architecture::X86_64, Exports::Flags);
    fs_err::write(dir.join("made.ko"), &made).unwrap();
    for release in [RELEASE, "7.2.1"] {
        let modules = dir.join("root/lib/modules").join(release);
        write(&modules.join("modules.order"), "kernel/fs/x.ko\n");
        write(&modules.join("modules.builtin"), "");
        fs_err::create_dir_all(modules.join("kernel/fs")).unwrap();
        fs_err::write(modules.join("kernel/fs/x.ko"), &made).unwrap();
    }
    let modules = dir.join("root/lib/modules").join(RELEASE);
    write(&modules.join("extra/other.ko"), "");
    let link = modules.join("weak-updates/made.ko");
    fs_err::create_dir_all(link.parent().unwrap()).unwrap();
    fs_err::os::unix::fs::symlink(format!("/lib/modules/{RELEASE}/extra/other.ko"), link).unwrap();
    lay_out_results(&dir.join("results"));
    lay_out_cache(&scratch.cache());
}

/// A plan of a matrix that was never run.
fn lay_out_results(dir: &Utf8Path) {
    let text = serde_json::json!({
        "format": 1,
        "id": "0123456789abcdef",
        "tool": "0.1.0",
        "file": null,
        "projects": [{ "name": "made", "version": "1", "dir": "/made", "sources": "0", "rust": false }],
        "kernels": [{ "release": RELEASE, "architecture": "amd64", "identity": "0", "rust": false }],
        "cells": [{ "id": "0123456789abcdef", "project": "made", "kernel": RELEASE, "steps": ["build"], "inputs": [] }],
    });
    write(&dir.join("plan.json"), &text.to_string());
    fs_err::create_dir_all(dir.join("cells")).unwrap();
}

fn lay_out_cache(cache: &Utf8Path) {
    for file in [
        "roots/debian-x-000000000000/stamp.json",
        "archive/debs/linux-image.deb",
        "archive/old/debs/linux-image.deb",
        "logs/x.log",
    ] {
        write(&cache.join(file), "");
    }
    let config = "CONFIG_RUST=y\nCONFIG_CC_VERSION_TEXT=\"gcc-14 (D) 14.2\"\nCONFIG_RUSTC_VERSION_TEXT=\"rustc 1.85.1 (x)\"\n";
    write(&cache.join("archive/configs/0"), config);
    let headers = package(&format!("linux-headers-{RELEASE}"), "7.2.1-1");
    let known = [headers, package("linux-source-7.2", "7.2.1-1"), package("rustc", "1.85.1+dfsg1-1")];
    write(&cache.join("archive/amd64/packages.json"), &serde_json::to_string(&known).unwrap());
    let place = cache.join("kernels").join(RELEASE);
    let files = [
        "build/.config",
        "build/Makefile",
        "build/Module.symvers",
        "build/include/config/auto.conf",
        "build/include/generated/autoconf.h",
        "build/include/generated/utsrelease.h",
        "build/scripts/basic/fixdep",
        "build/scripts/mod/modpost",
        "build/scripts/module.lds",
        "source/Makefile",
        "source/scripts/Makefile.build",
    ];
    files.iter().for_each(|file| write(&place.join(file), config));
    write(&place.join(format!("image/lib/modules/{RELEASE}/modules.builtin")), "");
    let stamp = Stamp {
        release: RELEASE.parse().unwrap(),
        inputs: "x".to_owned(),
        recipe: debian::recipe("trixie", Vec::new()),
        architecture: kmodfile::architecture::Architecture::Amd64,
        origin: Origin::Archive { suite: "trixie".to_owned(), version: None },
        tools: String::new(),
        place: place.clone(),
        rust_symbols: 0,
        seconds: 1.0,
        make_seconds: 1.0,
        bytes: 0,
        of_some: Vec::new(),
        kept: Vec::new(),
    };
    write(&place.join("stamp.json"), &serde_json::to_string(&stamp).unwrap());
}

fn package(name: &str, version: &str) -> Package {
    let common = Dependency { name: "linux-headers-7.2.1+deb13-common".to_owned(), exact: None };
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        suite: "trixie".to_owned(),
        architecture: "amd64".to_owned(),
        depends: vec![common],
        size: 1,
        sha256: "0".to_owned(),
        uri: "http://nowhere.invalid/x.deb".to_owned(),
    }
}

fn write(file: &Utf8Path, content: &str) {
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(file, content).unwrap();
}

/// All that can be seen of a directory, but for the cache's locks.
#[derive(PartialEq, Eq)]
struct Snapshot(BTreeMap<Utf8PathBuf, Seen>);

#[derive(PartialEq, Eq)]
struct Seen {
    mode: u32,
    times: (i64, i64),
    content: Vec<u8>,
}

impl Snapshot {
    fn of(scratch: &Scratch) -> Self {
        let locks = scratch.cache().join("locks");
        let walk = WalkDir::new(scratch.path()).into_iter();
        let entries = walk.filter_entry(|entry| entry.path() != locks.as_std_path()).map(Result::unwrap);
        Self(entries.map(|entry| seen(Utf8PathBuf::try_from(entry.into_path()).unwrap())).collect())
    }

    fn require_same(&self, after: &Self, line: &str) {
        let paths = self.0.keys().chain(after.0.keys());
        let changed: Vec<_> = paths.filter(|path| self.0.get(*path) != after.0.get(*path)).collect();
        assert!(changed.is_empty(), "{line} changed {changed:?}");
    }
}

fn seen(path: Utf8PathBuf) -> (Utf8PathBuf, Seen) {
    let meta = path.symlink_metadata().unwrap();
    let content = match meta.file_type() {
        kind if kind.is_file() => fs_err::read(&path).unwrap(),
        kind if kind.is_symlink() => path.read_link_utf8().unwrap().into_string().into_bytes(),
        _ => Vec::new(),
    };
    let seen = Seen { mode: meta.permissions().mode(), times: (meta.mtime(), meta.mtime_nsec()), content };
    (path, seen)
}
