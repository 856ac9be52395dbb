// SPDX-License-Identifier: GPL-2.0
//! What is refused, with the system left as it was.

use libtest_mimic::Trial;

use super::{Fixture, MODULE, assert_same, copy};
use crate::suite::{Suite, run};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("install::modules_that_are_none_or_for_another_kernel_are_refused", wrong_modules),
        suite.trial("install::a_foreign_file_at_the_target_is_refused", foreign_files),
        suite.trial("install::what_modprobe_would_not_load_is_refused", what_modprobe_would_not_load),
        suite.trial("install::a_stock_module_that_became_newer_needs_force", newer_stock),
        suite.trial("install::a_file_changed_since_is_not_removed", changed_since),
        suite.trial("install::a_link_that_leads_out_of_the_root_is_refused", link_out_of_the_root),
        suite.trial("install::a_damaged_journal_or_record_is_refused", damaged_state),
    ]
}

/// The tool ends with `status`, says `reason`, and leaves everything as it was.
#[track_caller]
fn assert_refused(fixture: &Fixture, args: &[&str], status: i32, reason: &str) {
    let before = fixture.snapshot();
    let (found, output) = run(&fixture.tool(args));
    assert_eq!(found, status, "{args:?}: {output}");
    assert!(output.contains(reason), "{reason:?} is not said: {output}");
    assert!(output.contains("remedy: "), "{output}");
    assert_same(&fixture.snapshot(), &before);
}

fn wrong_modules(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let write = |name: &str, bytes: &[u8]| {
        let path = fixture.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    };
    let good = fs_err::read(fixture.first()).unwrap();
    let truncated = write("truncated.ko", &good[..good.len() / 2]);
    let kernel = ["--kernel", fixture.release.as_str()];
    let install = |file: &str| ["install", file].map(str::to_owned);
    let (status, output) = run(&fixture.tool(&["install", truncated.as_str()]));
    assert_eq!(status, 4, "{output}");
    let text = write("text.ko", b"#!/bin/sh\n");
    let (status, output) = run(&fixture.tool(&["install", text.as_str(), kernel[0], kernel[1]]));
    assert!(status == 4 && output.contains("no ELF file"), "{output}");
    let unnamed = write("module.bin", &good);
    assert_refused(&fixture, &["install", unnamed.as_str()], 4, "is not named like a module");
    let foreign = write(&format!("{MODULE}.ko"), &fixture.for_another_kernel().1);
    assert_refused(&fixture, &["install", foreign.as_str(), kernel[0], kernel[1]], 4, "its vermagic is");
    let named = install(foreign.as_str());
    assert_refused(&fixture, &[&named[0], &named[1]], 3, "is not installed in");
}

fn foreign_files(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let (extra, first) = (fixture.modules().join("extra"), fixture.first());
    fs_err::create_dir_all(&extra).unwrap();
    for name in
        [format!("{MODULE}.ko"), format!("{MODULE}.ko.gz"), format!("{}.ko", MODULE.replace('_', "-"))]
    {
        fs_err::write(extra.join(&name), "somebody's").unwrap();
        assert_refused(&fixture, &["install", first.as_str()], 4, "not put there by this tool");
        fs_err::remove_file(extra.join(&name)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", extra.join(format!("{MODULE}.ko"))).unwrap();
    assert_refused(&fixture, &["install", first.as_str()], 4, "not put there by this tool");
    fs_err::remove_file(extra.join(format!("{MODULE}.ko"))).unwrap();
    let conf = fixture.system_dir().join(format!("etc/depmod.d/{MODULE}.conf"));
    fs_err::write(&conf, format!("override {MODULE} * updates\n")).unwrap();
    assert_refused(&fixture, &["install", first.as_str()], 4, "not put there by this tool");
}

fn what_modprobe_would_not_load(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let conf = fixture.system_dir().join("etc/modprobe.d");
    fs_err::create_dir_all(&conf).unwrap();
    fs_err::write(conf.join("no.conf"), format!("install {MODULE} /bin/false\n")).unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "it would run `/bin/false`");
}

fn newer_stock(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let stock = fixture.modules().join(fixture.stock(suite));
    copy(&suite.prepared().kdir.stock_module("nls_utf8").unwrap(), &stock);
    assert_refused(&fixture, &["install", fixture.second().as_str()], 4, "has changed since it was replaced");
    fixture.must(&["install", "--force", fixture.second().as_str()]);
    // It is known now.
    fixture.must(&["install", fixture.second().as_str()]);
}

fn changed_since(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let conf = fixture.system_dir().join(format!("etc/depmod.d/{MODULE}.conf"));
    fs_err::write(&conf, "# mine\n").unwrap();
    assert_refused(&fixture, &["uninstall", MODULE], 4, "was changed since it was installed");
    fs_err::remove_file(&conf).unwrap();
    fixture.must(&["uninstall", MODULE]);
    assert_refused(&fixture, &["uninstall", MODULE], 3, "is not installed by this tool");
}

fn link_out_of_the_root(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let outside = fixture.path().join("outside");
    fs_err::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, fixture.modules().join("extra")).unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "leads out of");
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
}

fn damaged_state(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let state = fixture.modules().join(".cifs-fix");
    fs_err::write(state.join("journal.forward"), "{").unwrap();
    assert_refused(&fixture, &["uninstall", MODULE], 4, "is no journal of this tool");
    fs_err::remove_file(state.join("journal.forward")).unwrap();
    fs_err::write(state.join("record.json"), "{}").unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "is no record of this tool");
}
