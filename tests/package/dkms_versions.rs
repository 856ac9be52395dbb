// SPDX-License-Identifier: GPL-2.0
//! DKMS as older releases of the distribution have it, beside the one that all other tests are run
//! with: by hand and through the tool, with the kernel of today and with their own.

use camino::Utf8PathBuf;
use kernel::distribution::debian;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use libtest_mimic::Trial;
use project::Project;
use project::stage::Sources;
use report::Report;
use report::process::Cmd;
use xtask::commands::test::LONG;
use xtask::repository;

use crate::machine::Machine;
use crate::suite::{Suite, scratch};

/// With its own kernel; `tiny-initramfs` takes little of what a kernel's package wants.
const PACKAGES: &[&str] =
    &["dkms", "kmod", "linux-headers-cloud-amd64", "linux-image-cloud-amd64", "openssl", "tiny-initramfs"];

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    if std::env::var_os(LONG).is_none() {
        return Vec::new();
    }
    vec![
        suite.trial("dkms_versions::that_of_oldstable", |suite| older(suite, "oldstable")),
        suite.trial("dkms_versions::that_of_oldoldstable", |suite| older(suite, "oldoldstable")),
    ]
}

fn older(suite: &Suite, debian: &str) {
    let mut packages: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    packages.sort();
    let recipe = debian::recipe(debian, packages);
    let root = TreeRoot::provide(suite.context(), &recipe).unwrap();
    println!("{debian}: {}", with_its_own_kernel(suite, &root));
    with_the_default_kernel(suite, &root);
}

/// The source of the guard, as a packager has it.
fn guard(dir: Utf8PathBuf) -> Utf8PathBuf {
    Sources::read(&Project::open(&repository()).unwrap()).unwrap().write(&dir).unwrap();
    dir
}

/// What is typed by hand, from add to remove; `looked` is run while it is installed.
fn by_hand(name: &str, version: &str, source: &str, options: &str, install: &str, looked: &str) -> String {
    let words = format!("-m {name} -v {version}");
    format!(
        "set -ex
         cp -r {source} /usr/src/{name}-{version}
         dkms add {words}
         dkms build {words} -k $KERNEL {options}
         dkms install {words} -k $KERNEL {options} {install}
         dkms status {words} | grep 'x86_64: installed'
         {looked}
         dkms uninstall {words} -k $KERNEL
         dkms remove {words} --all
         test -z \"$(dkms status {words})\""
    )
}

/// Up to 3.0.10 DKMS does not put a module in the place of the kernel's own of the same version.
const SAME: &str = "--force-version-override";

const HASHES: &str = "cd /lib/modules/$KERNEL && find . -name '*.ko*' -type f | sort | xargs sha256sum";

/// In its own system: a module of the kernel's own is replaced and comes back; a kernel without
/// Rust has no guard. Gives what this DKMS calls itself.
fn with_its_own_kernel(suite: &Suite, root: &TreeRoot) -> String {
    let (_dir, path) = scratch();
    let changes = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
    let tree =
        Scratch::over(root, &Utf8PathBuf::from_path_buf(changes.path().join("changes")).unwrap()).unwrap();
    let guard = guard(path.join("guard"));
    let access = Access::default().read(repository()).read(&guard);
    let sh = |script: &str| {
        let script = format!("KERNEL=$(ls /lib/modules)\n{script}");
        let cmd = tree.inside(suite.context(), Cmd::new("bash").args(["-c", &script]), &access);
        let mut text = String::new();
        let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
        (output.status.code().unwrap_or(-1), text)
    };
    let before = sh(HASHES);
    let replacement = repository().join("tests/dkms/replacement");
    let looked = "modprobe -S $KERNEL --show-depends nls_utf8 | grep /updates/dkms/nls_utf8.ko";
    let (status, said) = sh(&by_hand("replacement", "1.0", replacement.as_str(), "", SAME, looked));
    assert_eq!(status, 0, "{said}");
    assert_eq!(sh(HASHES), before);

    let (status, said) = sh(&format!(
        "cp -r {guard} /usr/src/cifs-fix-0.1.0 && dkms add cifs-fix/0.1.0 && dkms build cifs-fix/0.1.0 -k $KERNEL
         status=$?; cat /var/lib/dkms/cifs-fix/0.1.0/build/make.log; exit $status"
    ));
    let skipped = status == 77 && said.contains("BUILD_EXCLUSIVE");
    let told = status != 0 && said.contains("this kernel is built without Rust");
    assert!(skipped || told, "{status}: {said}");
    let version = sh("dkms --version; echo $KERNEL").1.replace('\n', " ");
    kernel::root::removal::remove(
        suite.context(),
        &Utf8PathBuf::from_path_buf(changes.path().join("changes")).unwrap(),
    )
    .unwrap();
    format!("{version}{}", if skipped { "skips the guard" } else { "fails for the guard, in one line" })
}

/// In place of today's: the guard, and through the tool.
fn with_the_default_kernel(suite: &Suite, root: &TreeRoot) {
    let machine = Machine::with_kernel(suite.context(), &suite.prepared().kdir);
    let shared = machine.shared();
    let source = guard(shared.join("guard"));
    for file in ["usr/sbin/dkms", "etc/dkms/framework.conf", "usr/lib/dkms/common.postinst"] {
        fs_err::copy(root.tree().join(file), shared.join(file.rsplit('/').next().unwrap())).unwrap();
    }
    machine.ok(&format!(
        "cd {shared} && cp dkms /usr/sbin && cp framework.conf /etc/dkms && cp common.postinst /usr/lib/dkms"
    ));
    let (before, stock) = (machine.modules(), machine.resolved("nls_utf8"));
    let looked = "modprobe -S $KERNEL --show-depends cifs_fix | grep -E '/(updates/dkms|extra)/cifs_fix.ko'";
    // DKMS 2 would clean it, before and after: nothing may be able to.
    let sparing =
        "$(dkms --help | grep -q -e --no-prepare-kernel && echo --no-prepare-kernel --no-clean-kernel)";
    let options = format!("--kernelsourcedir $KDIR {sparing}");
    let kept = "mount --bind $KDIR $KDIR && mount -o remount,bind,ro $KDIR && ! touch $KDIR/x 2>/dev/null";
    let ok = |script: &str| machine.ok(&format!("{kept} || exit 99\n{script}"));
    ok(&by_hand("cifs-fix", "0.1.0", source.as_str(), &options, "", looked));
    assert_eq!(machine.modules(), before);

    let words = "--project tests/dkms/replacement --kernel $KERNEL";
    ok(&format!("$XTASK dkms-install {words}"));
    // Where it goes, DKMS decides by the distribution, which is not its own here.
    assert_ne!(machine.modules(), before);
    ok(&format!("$XTASK dkms-uninstall {words}"));
    assert_eq!(machine.resolved("nls_utf8"), stock);
    ok(&format!("$XTASK dkms-remove {words}"));
    assert_eq!(machine.modules(), before);
}
