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
    for (name, found) in &found {
        let recorded = record.0.get(name).and_then(|verdicts| verdicts.get(&version.to_string()));
        assert_eq!(recorded, Some(found), "{name} with dkms {version}");
    }
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
