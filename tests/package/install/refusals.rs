// SPDX-License-Identifier: GPL-2.0
//! What is refused, with the system left as it was.

use deploy::install::journal::STATE;
use kmodfile::compression::Compression;
use kmodfile::signature::{MARKER, split};
use libtest_mimic::Trial;

use super::{Fixture, MODULE, assert_same, copy};
use crate::packings::{self, Kernel};
use crate::suite::{Suite, run};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("install::modules_that_are_none_or_for_another_kernel_are_refused", wrong_modules),
        suite.trial("install::a_foreign_file_at_the_target_is_refused", foreign_files),
        suite.trial("install::what_the_kernel_cannot_unpack_is_refused", packed_otherwise),
        suite.trial("install::what_modprobe_would_not_load_is_refused", what_modprobe_would_not_load),
        suite.trial("install::what_the_kernel_would_not_load_is_refused", what_the_kernel_would_not_load),
        suite.trial("install::force_installs_what_may_be_loaded_later", what_may_be_loaded_later),
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

/// As xz makes it, with the check that no kernel knows; without the kernel's configuration nobody
/// can say.
fn packed_otherwise(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let module = fs_err::read(fixture.first()).unwrap();
    let own = Compression::of_kernel(&suite.prepared().kdir.config().unwrap()).unwrap();
    let packings = packings::all(&module);
    let other = packings.iter().find(|one| one.format == own && one.kernel != Kernel::Loads).unwrap();
    let file = fixture.path().join("packed").join(fixture.second().file_name().unwrap());
    fs_err::create_dir(file.parent().unwrap()).unwrap();
    fs_err::write(&file, &other.bytes).unwrap();
    let output = fixture.must(&["install", "--dry-run", file.as_str()]);
    assert!(output.contains("packing are not checked"), "{output}");
    let config = suite.prepared().kdir.build().join(".config");
    fs_err::copy(config, fixture.modules().join("config")).unwrap();
    let args = ["install", file.as_str()];
    assert_refused(&fixture, &args, 4, "is not what the kernel, which unpacks it itself, takes");
    assert_refused(&fixture, &["install", "--force", file.as_str()], 4, own.command());
    // The same in the kernel's own way.
    fs_err::write(&file, own.compress(&module).unwrap()).unwrap();
    fixture.must(&args);
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
    assert!(status == 4 && output.contains("not an ELF file"), "{output}");
    let unnamed = write("module.bin", &good);
    assert_refused(&fixture, &["install", unnamed.as_str()], 4, "is not named like a module");
    let foreign = write(&format!("{MODULE}.ko"), &fixture.for_another_kernel(&good).1);
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
        assert_refused(&fixture, &["install", first.as_str()], 4, "not installed by this tool");
        fs_err::remove_file(extra.join(&name)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", extra.join(format!("{MODULE}.ko"))).unwrap();
    assert_refused(&fixture, &["install", first.as_str()], 4, "not installed by this tool");
    fs_err::remove_file(extra.join(format!("{MODULE}.ko"))).unwrap();
    let conf = fixture.system_dir().join(format!("etc/depmod.d/{MODULE}.conf"));
    fs_err::write(&conf, format!("override {MODULE} * updates\n")).unwrap();
    assert_refused(&fixture, &["install", first.as_str()], 4, "not installed by this tool");
}

fn what_modprobe_would_not_load(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let conf = fixture.system_dir().join("etc/modprobe.d");
    fs_err::create_dir_all(&conf).unwrap();
    fs_err::write(conf.join("no.conf"), format!("install {MODULE} /bin/false\n")).unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "but run `/bin/false`");
}

/// The system with what the kernel's headers package leaves there, and the image of the module that
/// fits.
fn with_headers(suite: &Suite) -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new(suite);
    let build = suite.prepared().kdir.build();
    let headers = fixture.system_dir().join("usr/src/linux-headers");
    fs_err::create_dir_all(&headers).unwrap();
    for name in [".config", "Module.symvers"] {
        fs_err::copy(build.join(name), headers.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/usr/src/linux-headers", fixture.modules().join("build")).unwrap();
    let image = fs_err::read(fixture.first()).unwrap();
    (fixture, image)
}

/// `image` with the bytes behind the first `before` written over.
fn spoilt(image: &[u8], before: &str, over: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    let at =
        image.windows(before.len()).position(|window| window == before.as_bytes()).unwrap() + before.len();
    image[at..at + over.len()].copy_from_slice(over);
    image
}

/// The module damaged in ways that will never be accepted, one at a time.
fn what_the_kernel_would_not_load(suite: &Suite) {
    let (fixture, image) = with_headers(suite);
    let file = fixture.first();
    let flags = format!("vermagic={} ", fixture.release);
    let trailer = image.len() - MARKER.len() - 4;
    let mut malformed = image.clone();
    malformed[trailer..trailer + 4].copy_from_slice(&[0xff; 4]);
    for (image, reason) in [
        (spoilt(&image, &flags, b"UP"), "its vermagic is"),
        (spoilt(&image, "license=", b"MIT"), "for the GPL only"),
        // e_machine is behind e_ident and e_type; 183 is EM_AARCH64.
        (spoilt(&image, "\u{7f}ELF\u{2}\u{1}\u{1}\0\0\0\0\0\0\0\0\0\u{1}\0", &[183, 0]), "it is for aarch64"),
        (malformed, "its signature cannot be read"),
    ] {
        fs_err::write(&file, image).unwrap();
        assert_refused(&fixture, &["install", file.as_str()], 4, reason);
        assert_refused(&fixture, &["install", "--force", file.as_str()], 4, reason);
    }
}

/// What may have changed by the time the module is loaded is refused unless forced; what cannot be
/// checked is reported and never refused.
fn what_may_be_loaded_later(suite: &Suite) {
    let (fixture, image) = with_headers(suite);
    let (file, before) = (fixture.first(), fixture.snapshot());
    let refused_until_forced = |image: &[u8], reason: &str| {
        fs_err::write(&file, image).unwrap();
        assert_refused(&fixture, &["install", file.as_str()], 4, reason);
        let output = fixture.must(&["install", "--force", file.as_str()]);
        assert!(output.contains("warning: ") && output.contains(reason), "{output}");
        fixture.must(&["uninstall", MODULE]);
    };
    let unresolved = spoilt(&image, "\0keyring_", b"xxxxx");
    refused_until_forced(&unresolved, "which nothing exports");
    // The kernel takes an unsigned module but under Secure Boot, unless it is built to take none.
    fs_err::write(&file, split(&image).0).unwrap();
    let output = fixture.must(&["install", file.as_str()]);
    assert!(output.contains("not signed: it taints the kernel"), "{output}");
    fixture.must(&["uninstall", MODULE]);
    assert_same(&fixture.snapshot(), &before);
    let config = fixture.system_dir().join(format!("boot/config-{}", fixture.release));
    fs_err::create_dir_all(config.parent().unwrap()).unwrap();
    fs_err::write(&config, "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n").unwrap();
    refused_until_forced(split(&image).0, "it is not signed, and the kernel enforces signatures");
    // Without a list of the kernel's symbols none is missed.
    fs_err::remove_file(fixture.modules().join("build")).unwrap();
    fs_err::write(&file, unresolved).unwrap();
    let output = fixture.must(&["install", file.as_str()]);
    assert!(output.contains("the kernel's Module.symvers was not found"), "{output}");
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
    assert_refused(&fixture, &["uninstall", MODULE], 4, "has been changed since it was installed");
    fs_err::remove_file(&conf).unwrap();
    fixture.must(&["uninstall", MODULE]);
    assert!(fixture.must(&["uninstall", MODULE]).contains("nothing is left to do"));
}

fn link_out_of_the_root(suite: &Suite) {
    let fixture = Fixture::new(suite);
    let outside = fixture.path().join("outside");
    fs_err::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, fixture.modules().join("extra")).unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "leads outside");
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
}

fn damaged_state(suite: &Suite) {
    let fixture = Fixture::new(suite);
    fixture.install();
    let state = fixture.modules().join(STATE);
    fs_err::write(state.join("journal.forward"), "{").unwrap();
    assert_refused(&fixture, &["uninstall", MODULE], 4, "is not a valid journal");
    fs_err::remove_file(state.join("journal.forward")).unwrap();
    fs_err::write(state.join("record.json"), "{}").unwrap();
    assert_refused(&fixture, &["install", fixture.first().as_str()], 4, "is not a record of this tool");
}
