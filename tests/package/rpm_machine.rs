// SPDX-License-Identifier: GPL-2.0
//! Machines whose packages are RPMs: a system that says it is Fedora, AlmaLinux or openSUSE, with
//! dnf or zypper and nothing of Debian's package tools. What is missing there is named, and
//! installed, as it is there.

use camino::Utf8PathBuf;
use kernel::distribution::debian;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::release::Release;
use libtest_mimic::Trial;
use report::Report;
use report::process::Cmd;
use rpm::{BuildConfig, CompressionType, CompressionWithLevel, FileOptions, PackageBuilder};
use xtask::repository;

use crate::suite::Suite;

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rpm_machine::nothing_is_said_of_apt_where_there_is_dnf_or_zypper", nothing_of_apt),
        suite.trial("rpm_machine::what_is_missing_is_installed_with_dnf", |suite| installed(suite, &FEDORA)),
        suite.trial("rpm_machine::what_is_missing_is_installed_with_zypper", |suite| installed(suite, &LEAP)),
    ]
}

/// A distribution of RPMs.
struct Described {
    /// What it says of itself: os-release(5).
    os_release: &'static str,
    /// Its package tool, and that of the others.
    tool: &'static str,
    other: &'static str,
    /// Where its repositories are listed.
    repositories: &'static str,
    /// What brings QEMU, and what brings dkms.
    qemu: &'static str,
    dkms: &'static str,
}

const FEDORA: Described = Described {
    os_release: "ID=fedora\nVERSION_ID=43\nPRETTY_NAME=\"Fedora Linux 43\"\n",
    tool: "dnf",
    other: "zypper",
    repositories: "etc/yum.repos.d",
    qemu: "dnf install --setopt=install_weak_deps=False qemu-system-x86-core",
    dkms: "remedy: dnf install --setopt=install_weak_deps=False dkms",
};

const ALMA: Described = Described {
    os_release: "ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"10.0\"\n",
    qemu: "dnf install --setopt=install_weak_deps=False qemu-kvm",
    dkms: "remedy: dnf install epel-release && dnf install --setopt=install_weak_deps=False dkms",
    ..FEDORA
};

const LEAP: Described = Described {
    os_release: "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n",
    tool: "zypper",
    other: "dnf",
    repositories: "etc/zypp/repos.d",
    qemu: "zypper install --no-recommends qemu-x86",
    dkms: "remedy: zypper install --no-recommends dkms",
};

/// Words of Debian's, as a user would read them.
const DEBIANS: &[&str] = &["apt", "apt-get", "apt-utils", "dpkg", "dpkg-deb", "qemu-system-x86", "xz-utils"];

/// The machine: a scratch over a root, from which Debian's package tools were taken.
struct RpmMachine<'a> {
    suite: &'a Suite,
    scratch: Option<Scratch>,
    release: Release,
    /// Seen there at the same path.
    files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

fn root(suite: &Suite) -> TreeRoot {
    let packages = ["cpio", "createrepo-c", "dnf", "kmod", "openssl", "patch", "rpm", "xz-utils", "zypper"]
        .map(str::to_owned)
        .to_vec();
    TreeRoot::provide(suite.context(), &debian::recipe("stable", packages)).unwrap()
}

impl<'a> RpmMachine<'a> {
    fn new(suite: &'a Suite, described: &Described) -> Self {
        let kdir = &suite.prepared().kdir;
        let dir = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir_all(files.join("cache")).unwrap();
        let scratch = Scratch::over(&root(suite), &path.join("changes")).unwrap().with_layer(kdir.image());
        let release = kdir.release().clone();
        let machine = Self { suite, scratch: Some(scratch), release, files, _dir: dir };
        fs_err::write(machine.files.join("os-release"), described.os_release).unwrap();
        machine.ok(&format!(
            "depmod $KERNEL; rpm --initdb; rm -f /etc/dnf/plugins/local.conf
             rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/apt /etc/apt
             rm -f /usr/bin/{} /etc/os-release; cp os-release /etc/os-release",
            described.other
        ));
        machine
    }

    /// Runs a script, `$KERNEL` the release and `$TOOL` the tool; gives its status and all it said.
    fn sh(&self, script: &str) -> (i32, String) {
        let context = self.suite.context();
        let access =
            Access::default().read(context.program.parent().unwrap()).read(repository()).write(&self.files);
        let cmd = Cmd::new("bash")
            .args(["-e", "-c", script])
            .cwd(&self.files)
            .env("XDG_CACHE_HOME", self.files.join("cache"))
            .env("PROJECT", repository())
            .env("KERNEL", self.release.as_str())
            .env("TOOL", &context.program);
        let mut text = String::new();
        let cmd = self.scratch.as_ref().unwrap().inside(context, cmd, &access);
        let output = cmd.finish_with(&Report::silent(), |line| text.extend([line, "\n"])).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    #[track_caller]
    fn ok(&self, script: &str) -> String {
        let (status, text) = self.sh(script);
        assert_eq!(status, 0, "{script}:\n{text}");
        text
    }

    /// Makes a repository of one package, which has the root's own openssl, and takes that away.
    fn offer_openssl(&self, described: &Described) {
        let compression: CompressionWithLevel = CompressionType::None.into();
        let mut builder = PackageBuilder::new("openssl", "3", "Apache-2.0", "x86_64", "Cryptography");
        let there = root(self.suite).tree().join("usr/bin/openssl");
        builder.using_config(BuildConfig::v4().compression(compression));
        let options = FileOptions::new("/usr/bin/openssl").permissions(0o755);
        builder.with_file(there, options).unwrap();
        let repository = self.files.join("repository");
        fs_err::create_dir(&repository).unwrap();
        builder.build().unwrap().write_file(repository.join("openssl.rpm")).unwrap();
        let list = format!("[local]\nname=local\nbaseurl=file://{repository}\nenabled=1\ngpgcheck=0\n");
        fs_err::write(self.files.join("local.repo"), list).unwrap();
        let dir = described.repositories;
        self.ok(&format!(
            "createrepo_c --quiet repository; mkdir -p /{dir}; cp local.repo /{dir}; rm /usr/bin/openssl"
        ));
    }
}

impl Drop for RpmMachine<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.remove(self.suite.context()).ok();
        }
    }
}

/// The first word in `text` that is one of Debian's.
fn of_debian(text: &str) -> Option<&str> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.split(|c: char| !in_word(c)).find(|word| DEBIANS.contains(word))
}

fn nothing_of_apt(suite: &Suite) {
    for described in [FEDORA, ALMA, LEAP] {
        let machine = RpmMachine::new(suite, &described);
        machine.ok("rm /usr/bin/openssl");
        let install = format!("remedy: {} install ", described.tool);
        for (words, status, says) in [
            ("doctor", 3, described.qemu.rsplit(' ').next().unwrap().to_owned()),
            ("doctor", 3, install.clone()),
            ("rpm --project $PROJECT", 3, "the package repositories".to_owned()),
            ("rpm --project $PROJECT --kernel $KERNEL", 3, "the package repositories".to_owned()),
            ("insmod --project $PROJECT --kernel $KERNEL", 3, described.qemu.to_owned()),
            ("dkms-add --project $PROJECT --kernel $KERNEL", 3, described.dkms.to_owned()),
            ("key new --output mok", 3, format!("{install}{}", few(&described, "openssl"))),
            ("kernel list", 0, "the archive's kernels are not shown".to_owned()),
            ("kernel prepare", 3, format!("`{} ", described.tool)),
            ("setup", 0, "manual pages".to_owned()),
        ] {
            let (found, text) = machine.sh(&format!("$TOOL {words}"));
            assert_eq!(found, status, "{} {words}:\n{text}", described.os_release);
            assert!(text.contains(&says), "{} {words}: no {says:?} in\n{text}", described.os_release);
            assert_eq!(of_debian(&text), None, "{} {words}:\n{text}", described.os_release);
        }
        machine.ok("rm /usr/sbin/depmod");
        let (status, text) = machine.sh("$TOOL install --project $PROJECT --kernel $KERNEL");
        assert!(status == 3 && text.contains(&format!("{install}{}", few(&described, "kmod"))), "{text}");
        assert_eq!(of_debian(&text), None, "{text}");
    }
}

fn few(described: &Described, package: &str) -> String {
    let option = if described.tool == "dnf" { "--setopt=install_weak_deps=False" } else { "--no-recommends" };
    format!("{option} {package}")
}

fn installed(suite: &Suite, described: &Described) {
    let machine = RpmMachine::new(suite, described);
    machine.offer_openssl(described);
    let text = machine.ok("$TOOL --yes key new --output mok");
    assert!(text.contains("Missing openssl (package openssl)"), "{text}");
    assert!(text.contains("Installed openssl"), "{text}");
    assert_eq!(of_debian(&text), None, "{text}");
    machine.ok("rpm --query openssl; test -e mok.key -o -e mok/*.key -o -e mok");
    let again = machine.ok("$TOOL --yes key new --output mok2");
    assert!(!again.contains("Missing"), "{again}");
}
