// SPDX-License-Identifier: GPL-2.0
//! `rpm --upgrade`: what the package before it calls at its end runs when the files of the new one
//! are there.

use camino::{Utf8Path, Utf8PathBuf};
use kernel::kdir::Kdir;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use rpm::{BuildConfig, CompressionType, CompressionWithLevel, FileOptions, PackageBuilder};

use super::{SAME, pair};
use crate::rpm_install::System;
use crate::suite::{PROGRAM, Suite};

pub(super) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![suite.trial("weak_modules::an_upgrade_by_rpm_keeps_the_links_and_an_erasure_takes_them", upgraded)]
}

/// A package with one module at `place`, whose scriptlets call weak-modules with its whole list
/// when it comes and when it goes, as those of RHEL's macros do.
fn package(version: &str, module: &Utf8Path, place: &str, to: &Utf8Path) -> Utf8PathBuf {
    let compression: CompressionWithLevel = CompressionType::None.into();
    let mut builder = PackageBuilder::new("kmod-giver", version, "GPL-2.0-only", "x86_64", "A module");
    builder.using_config(BuildConfig::v4().compression(compression));
    builder.with_file(module, FileOptions::new(place)).unwrap();
    let script =
        |verb: &str| format!("echo {place} | /usr/sbin/weak-modules --{verb}-modules --no-initramfs\n");
    builder.post_install_script(script("add")).post_uninstall_script(script("remove"));
    let file = to.join(format!("kmod-giver-{version}.rpm"));
    builder.build().unwrap().write_file(&file).unwrap();
    file
}

/// Makes the tool the system's weak-modules, and installs a second kernel in it.
fn prepare(suite: &Suite, system: &System<'_>, release: &str) {
    fs_err::copy(PROGRAM, system.files.join("tool")).unwrap();
    let kdir = Kdir::open(&suite.context().cache, &release.parse().unwrap()).unwrap();
    fs_err::copy(kdir.build().join("Module.symvers"), system.files.join("symvers")).unwrap();
    system.sh(&format!(
        "printf '#!/bin/sh\\nexec env XDG_CACHE_HOME=/tmp/cache {}/tool weak-modules \"$@\"\\n' > /usr/sbin/weak-modules
         chmod 755 /usr/sbin/weak-modules
         mkdir -p /lib/modules/{SAME}/kernel; cp symvers /lib/modules/{SAME}/symvers
         cp /lib/modules/{release}/modules.order /lib/modules/{release}/modules.builtin* /lib/modules/{SAME}/
         find /lib/modules/{release}/kernel -name 'nls_utf8.ko*' -exec cp '{{}}' /lib/modules/{SAME}/kernel ';'
         depmod {SAME}",
        system.files
    ));
}

fn upgraded(suite: &Suite) {
    let [first, other] = pair(suite);
    let release = first.release.as_str();
    let system = System::new(suite, &first.release);
    prepare(suite, &system, release);
    let place = format!("/lib/modules/{release}/extra/giver/giver.ko");
    let moved = format!("/lib/modules/{release}/extra/moved/giver.ko");
    for (version, pair, place) in [("1", first, &place), ("2", other, &place), ("3", other, &moved)] {
        package(version, &pair.file("giver"), place, &system.files);
    }
    let links = || {
        let found = "find /lib/modules/*/weak-updates -type l -printf '%P %l\\n' 2>/dev/null || :";
        system.sh(found)
    };
    let loads = || system.sh(&format!("modprobe -S {SAME} --show-depends giver || :"));
    let expected = |dir: &str| format!("{dir}/giver.ko ../../../{release}/extra/{dir}/giver.ko");
    system.sh("rpm --install kernel.rpm kmod-giver-1.rpm");
    assert_eq!(links(), expected("giver"));
    let loaded = |dir: &str| format!("insmod /lib/modules/{SAME}/weak-updates/{dir}/giver.ko");
    assert_eq!(loads(), loaded("giver"));
    system.sh("rpm --upgrade kmod-giver-2.rpm");
    assert_eq!(links(), expected("giver"), "the new package's file is there");
    assert_eq!(loads(), loaded("giver"));
    let version = |file: &Utf8Path| Cmd::new("sha256sum").arg(file).read(&Report::silent()).unwrap();
    let sum = system.sh(&format!("sha256sum /lib/modules/{SAME}/weak-updates/giver/giver.ko"));
    assert_eq!(sum.split(' ').next(), version(&other.file("giver")).split(' ').next());
    // Its place is another now: the link to the old one goes with that.
    system.sh("rpm --upgrade kmod-giver-3.rpm");
    assert_eq!(links(), expected("moved"));
    assert_eq!(loads(), loaded("moved"));
    system.sh("rpm --erase kmod-giver");
    assert_eq!((links(), loads()), (String::new(), String::new()));
    system.sh(&format!("test ! -e /lib/modules/{SAME}/weak-updates"));
}
