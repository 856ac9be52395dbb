// SPDX-License-Identifier: GPL-2.0
//! The record of the corpus is what the real dkms does: that of the machine that all tests have,
//! and with `--long` that of oldstable. `RECORD=1` writes it down anew. `DKMS=FILE` takes the
//! script of another version, which no suite of Debian has: `dkms.in` of its source, with its
//! version put in for `@RELEASE_STRING@` as `make` does.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use dkms_conf::objections::DkmsVersion;
use kernel::distribution::debian;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use libtest_mimic::Trial;
use project::Project;
use project::build::build;
use report::Report;
use report::process::Cmd;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::dkms_corpus::{JOBS, RELEASE, Record, Taken, Verdict, confs, names};
use crate::machine::Machine;
use crate::suite::{Suite, scratch};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    let mut trials = vec![suite.trial("corpus::the_record_is_what_dkms_does", |suite| {
        let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
        let other = std::env::var("DKMS").ok().map(|file| {
            let there = machine.shared().join("dkms");
            fs_err::copy(file, &there).unwrap();
            there
        });
        let dkms = other.as_deref().unwrap_or(Utf8Path::new("dkms"));
        let out = machine.shared().join("out");
        let version = machine.ok(&format!("{dkms} --version"));
        machine.ok(&line(dkms, &out));
        compare(&version, &out);
    })];
    trials.push(suite.trial("corpus::what_dkms_refuses_the_tool_refuses_before", refused));
    trials.push(suite.trial("corpus::a_name_with_a_directory_is_built_as_dkms_builds_it", directory));
    if std::env::var_os(LONG).is_some() {
        trials.push(suite.trial("corpus::the_record_is_what_dkms_of_oldstable_does", oldstable));
    }
    trials
}

/// What has that dkms read all files.
fn line(dkms: &Utf8Path, out: &Utf8Path) -> String {
    let scripts = repository().join("tests/dkms");
    format!("bash {scripts}/record.bash {dkms} {} {out} {scripts}/probe.bash {RELEASE} {JOBS}", confs())
}

fn oldstable(suite: &Suite) {
    let packages = ["dkms", "kmod"].map(str::to_owned).to_vec();
    let root = TreeRoot::provide(suite.context(), &debian::recipe("oldstable", packages)).unwrap();
    let changes = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
    let changes = Utf8PathBuf::from_path_buf(changes.path().join("changes")).unwrap();
    let tree = Scratch::over(&root, &changes).unwrap();
    let (_dir, path) = scratch();
    let access = Access::default().read(repository()).write(&path);
    let ok = |script: &str| {
        let cmd = tree.inside(suite.context(), Cmd::new("bash").args(["-c", script]), &access);
        cmd.read(&Report::silent()).unwrap()
    };
    let version = ok("dkms --version");
    ok(&line(Utf8Path::new("dkms"), &path));
    compare(&version, &path);
    kernel::root::removal::remove(suite.context(), &changes).unwrap();
}

/// A project of these files that is seen in the machine.
fn project(machine: &Machine<'_>, files: &[(&str, &str)]) -> Utf8PathBuf {
    let dir = machine.shared().join("project");
    for (name, text) in files {
        fs_err::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs_err::write(dir.join(name), text).unwrap();
    }
    dir
}

/// The dkms of Debian 13 refuses two of these, and not the third.
fn refused(suite: &Suite) {
    let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
    let head = "PACKAGE_NAME=switches\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION=/extra\n";
    for (line, refused) in [("AUTOINSTALL=Y", true), ("NO_WEAK_MODULES=true", true), ("STRIP=No", false)] {
        let dir = project(&machine, &[("dkms.conf", &format!("{head}{line}\n"))]);
        let add = format!("$XTASK dkms-add --project {dir} --kernel $KERNEL");
        if !refused {
            machine.ok(&add);
            continue;
        }
        let (status, said) = machine.sh(&format!("dkms add {dir} -k $KERNEL"));
        assert!(status == 8 && said.contains("Unsupported"), "{line}: {status}: {said}");
        for action in ["add", "build", "install", "mkrpm"] {
            let (status, said) = machine.sh(&add.replace("dkms-add", &format!("dkms-{action}")));
            assert!(status == 4 && said.contains(&format!("{dir}/dkms.conf:4: {}", &line[..8])), "{said}");
        }
        assert_eq!(machine.ok("ls /usr/src /var/lib/dkms | grep switches; true"), "");
    }
}

fn directory(suite: &Suite) {
    let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
    let module = "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\nMODULE_DESCRIPTION(\"inner\");\n";
    let conf = "PACKAGE_NAME=outer\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME=sub/inner\n\
                DEST_MODULE_NAME=inner_oot\nDEST_MODULE_LOCATION=/extra\n";
    let dir = project(
        &machine,
        &[("dkms.conf", conf), ("Kbuild", "obj-m := sub/inner.o\n"), ("sub/inner.c", module)],
    );
    let of_dkms = machine.ok(&format!(
        "dkms add {dir} >/dev/null && dkms build outer/1 -k $KERNEL --kernelsourcedir $KDIR >/dev/null
         ls /var/lib/dkms/outer/1/$KERNEL/x86_64/module"
    ));
    let built = build(suite.context(), &Project::open(&dir).unwrap(), suite.prepared()).unwrap();
    let names: Vec<&str> = built.objects.iter().map(|object| object.file.file_name().unwrap()).collect();
    assert_eq!(names, ["inner_oot.ko"]);
    assert!(of_dkms.lines().any(|line| line.starts_with("inner_oot.ko")), "{of_dkms}");
}

/// Compares what was written down there, or records it.
fn compare(version: &str, out: &Utf8Path) {
    let version: DkmsVersion = version.parse().unwrap();
    let found: BTreeMap<String, Verdict> =
        names().into_iter().map(|name| (name.clone(), verdict(out, &name))).collect();
    let mut record = Record::read();
    if std::env::var_os("RECORD").is_some() {
        for (name, verdict) in found {
            record.0.entry(name).or_default().insert(version.to_string(), verdict);
        }
        record.0.retain(|name, _| confs().join(format!("{name}.conf")).exists());
        record.write();
        return;
    }
    let recorded = |name: &str| record.0.get(name).and_then(|verdicts| verdicts.get(&version.to_string()));
    let other: Vec<String> = found
        .iter()
        .filter(|(name, found)| recorded(name) != Some(*found))
        .map(|(name, found)| format!("{name}, dkms {version}: {found:?}\n    recorded: {:?}", recorded(name)))
        .collect();
    assert!(other.is_empty(), "{}", other.join("\n"));
}

/// What dkms made of one file.
fn verdict(out: &Utf8Path, name: &str) -> Verdict {
    let read = |what: &str| fs_err::read(out.join(format!("{name}.{what}"))).unwrap();
    let said = String::from_utf8_lossy(&read("said")).into_owned();
    if read("status") != b"0\n" {
        let mut lines: Vec<String> =
            said.lines().filter(|line| line.contains("Error!")).map(str::to_owned).collect();
        lines.dedup();
        return Verdict::Refused(lines);
    }
    Verdict::Taken(taken(&read("taken")))
}

/// Reads what `probe.bash` wrote. dkms reads the file more than once: the last time, it knows what
/// the package is called.
fn taken(bytes: &[u8]) -> Taken {
    let fields: Vec<String> =
        bytes.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    let rows: Vec<&[String]> = fields.chunks_exact(3).collect();
    let from = rows.iter().rposition(|row| row[0] == "begin").expect("dkms has read the file");
    let mut all: BTreeMap<&str, BTreeMap<u32, String>> = BTreeMap::new();
    for row in &rows[from + 1..] {
        all.entry(&row[0]).or_default().insert(row[1].parse().unwrap(), row[2].clone());
    }
    let of = |name: &str| all.get(name).cloned().unwrap_or_default();
    let one = |name: &str, index: u32| of(name).remove(&index).unwrap_or_default();
    let module = |(index, built): (u32, String)| {
        let built = one("built_module_location", index) + &built;
        (built, one("dest_module_name", index), one("strip", index) != "no")
    };
    Taken {
        modules: of("built_module_name").into_iter().map(module).collect(),
        make: one("make_command", 0),
        patches: of("patch_array").into_values().collect(),
        excluded: !one("build_exclude", 0).is_empty(),
        values: all
            .into_iter()
            .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()))
            .map(|(name, values)| (name.to_owned(), values.into_iter().collect()))
            .collect(),
    }
}
