// SPDX-License-Identifier: GPL-2.0
//! Packages as a system takes them: rpm and dnf install, upgrade, downgrade and erase them in a
//! system of their own, and nothing is left. The kernel is Debian's, with the provides that a
//! kernel of an RPM distribution has.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use kernel::distribution::debian;

use deploy::rpm::target::KmodTarget;
use kernel::kdir::Kdir;
use kernel::root::Access;
use kernel::root::scratch::Scratch;
use kernel::root::tree::TreeRoot;
use kmodfile::crc::Crc;
use kmodfile::release::Release;
use kmodfile::symvers;
use libtest_mimic::Trial;
use project::Project;
use project::stage::Sources;
use report::process::{Cmd, Output};
use rpm::{BuildConfig, CompressionType, CompressionWithLevel, Dependency, PackageBuilder};
use xtask::repository;

use crate::rpm::{guard, rebuild, uname_version};
use crate::suite::{Suite, run, scratch, tool};

pub(crate) fn trials(suite: &Suite) -> Vec<Trial> {
    vec![
        suite.trial("rpm::rpmlint_finds_nothing_that_is_not_explained", rpmlint),
        suite.trial("rpm::the_guard_is_upgraded_downgraded_and_erased_without_a_trace", upgraded),
        suite.trial("rpm::the_rebuild_takes_the_place_of_the_stock_module_and_gives_it_back", replaced),
        suite.trial("rpm::a_kernel_with_another_crc_is_refused", another_crc),
        suite.trial("rpm::dnf_installs_from_a_repository_and_removes", dnf),
    ]
}

/// A system with rpm and dnf on which one kernel is installed.
pub(crate) struct System<'a> {
    suite: &'a Suite,
    scratch: Option<Scratch>,
    release: Release,
    /// Seen in it at the same path.
    pub(crate) files: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

/// Where the system is made: has what installs packages, and what looks at them.
fn root(suite: &Suite) -> TreeRoot {
    let packages = ["cpio", "createrepo-c", "dnf", "kmod", "rpm", "rpmlint"].map(str::to_owned).to_vec();
    TreeRoot::provide(suite.context(), &debian::recipe("stable", packages)).unwrap()
}

impl<'a> System<'a> {
    pub(crate) fn new(suite: &'a Suite, release: &Release) -> Self {
        let kdir = Kdir::open(&suite.context().cache, release).unwrap();
        let dir = tempfile::tempdir_in(suite.context().cache.path("")).unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        let files = path.join("files");
        fs_err::create_dir(&files).unwrap();
        let scratch = Scratch::over(&root(suite), &path.join("changes")).unwrap().with_layer(kdir.image());
        let system = Self { suite, scratch: Some(scratch), release: release.clone(), files, _dir: dir };
        kernel_package(&kdir, |_, crc| crc).write_file(system.files.join("kernel.rpm")).unwrap();
        // The directory for licences is of every such distribution.
        system.sh(&format!("depmod {release}; rpm --initdb; mkdir -p /usr/share/licenses"));
        system
    }

    pub(crate) fn finish(&self, script: &str) -> Output {
        let cmd = Cmd::new("sh").args(["-e", "-c", script]).cwd(&self.files);
        let access = Access::default().write(&self.files);
        let context = self.suite.context();
        self.scratch.as_ref().unwrap().inside(context, cmd, &access).finish(&context.report).unwrap()
    }

    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.finish(script);
        assert!(output.status.success(), "{script}: {}", output.tail);
        output.text().trim_end().to_owned()
    }

    /// Puts a package where the system sees it and gives the name there.
    pub(crate) fn put(&self, package: &Utf8Path) -> String {
        let name = package.file_name().unwrap().to_owned();
        fs_err::copy(package, self.files.join(&name)).unwrap();
        name
    }

    /// The file that modprobe would load for `module`.
    fn loaded(&self, module: &str) -> String {
        let text = self.sh(&format!("modprobe --set-version {} --show-depends {module}", self.release));
        let mut files = text.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim_end);
        // What it depends on stands before it, what it only wants loaded after it.
        let is = |file: &&str| {
            file.rsplit('/').next().is_some_and(|name| name.starts_with(&format!("{module}.ko")))
        };
        files.find(is).unwrap_or_default().to_owned()
    }

    /// All that a package of ours may touch, by content.
    fn everything(&self) -> BTreeMap<String, String> {
        let script = format!(
            "cd /; find etc/depmod.d usr/lib/depmod.d lib/modules/{} usr/share/doc usr/share/licenses \
             -type d -printf '%p directory\\n' -o -type l -printf '%p %l\\n' -o -printf '%p ' -exec sha256sum '{{}}' ';' 2>/dev/null | sort",
            self.release
        );
        let text = self.finish(&script).text();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        // The index files hold nothing of their own.
        lines.map(|(path, what)| (path.to_owned(), what.to_owned())).collect()
    }
}

impl Drop for System<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.remove(self.suite.context()).ok();
        }
    }
}

/// What the kernel's package would be on a distribution of RPMs: it provides its release, and each
/// symbol with the CRC that `crc` makes of its own; and what every such system has.
pub(crate) fn kernel_package(kdir: &Kdir, crc: impl Fn(&str, Crc) -> Crc) -> rpm::Package {
    let release = kdir.release();
    let version = uname_version(release);
    let compression: CompressionWithLevel = CompressionType::None.into();
    let mut builder = PackageBuilder::new("kernel-core", "1", "GPL-2.0-only", "x86_64", "A kernel");
    builder.using_config(BuildConfig::v4().compression(compression));
    builder.provides(Dependency::eq("kernel-uname-r", version));
    for name in ["/bin/sh", "kmod"] {
        builder.provides(Dependency::any(name));
    }
    if kdir.config().unwrap().is_yes("CONFIG_MODVERSIONS") {
        let text = fs_err::read_to_string(kdir.build().join("Module.symvers")).unwrap();
        for export in symvers::parse(&text) {
            let crc = crc(export.symbol, export.crc);
            builder.provides(Dependency::eq(format!("kernel({})", export.symbol), crc.to_string()));
        }
    }
    builder.build().unwrap()
}

fn rpmlint(suite: &Suite) {
    let system = System::new(suite, suite.prepared().kdir.release());
    for entry in [guard(suite), rebuild(suite)].iter().flat_map(|made| made.dir.read_dir_utf8().unwrap()) {
        system.put(&entry.unwrap().into_path());
    }
    fs_err::remove_file(system.files.join("kernel.rpm")).unwrap();
    fs_err::copy(repository().join("tests/package/rpmlint.toml"), system.files.join("filter.toml")).unwrap();
    let output = system.finish("rpmlint --config filter.toml *.rpm");
    let text = output.text();
    assert!(text.contains(" 0 errors, 0 warnings"), "{text}{}", output.tail);
    assert!(output.status.success(), "{text}");
}

/// The guard of another version, packaged.
fn guard_of(version: &str, release: &Release) -> (tempfile::TempDir, Utf8PathBuf) {
    let (dir, path) = scratch();
    let project = path.join("project");
    Sources::read(&Project::open(&repository()).unwrap()).unwrap().write(&project).unwrap();
    for (file, before) in [("dkms.conf", "PACKAGE_VERSION=\"0.1.0\""), ("kmod.spec", "kmod_version 0.1.0")] {
        let text = fs_err::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(before), "{file}");
        fs_err::write(project.join(file), text.replace(before, &before.replace("0.1.0", version))).unwrap();
    }
    let output = path.join("made");
    let (status, said) = run(&tool(&[
        "rpm",
        "--project",
        project.as_str(),
        "--kernel",
        release.as_str(),
        "--output",
        output.as_str(),
    ]));
    assert_eq!(status, 0, "{said}");
    let files: Vec<_> = output.read_dir_utf8().unwrap().map(|entry| entry.unwrap().into_path()).collect();
    let file = files.into_iter().find(|file| !file.as_str().contains("-debuginfo-")).unwrap();
    (dir, file)
}

fn upgraded(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let system = System::new(suite, release);
    let old = system.put(&guard(suite).package("kmod-cifs-fix"));
    let (_dir, new) = guard_of("0.2.0", release);
    let new = system.put(&new);
    let before = system.everything();
    assert!(before.len() > 100, "{before:?}");

    let refused = system.finish(&format!("rpm --install {old}"));
    assert!(!refused.status.success() && refused.tail.contains("kernel-uname-r = "), "{}", refused.tail);
    assert_eq!(system.everything(), before);

    let name = format!("kmod-cifs-fix{}", KmodTarget::of(release).suffix());
    let file = format!("/lib/modules/{release}/extra/cifs-fix/cifs_fix.ko");
    let version = || system.sh(&format!("rpm --query --queryformat '%{{version}}' {name}"));
    system.sh(&format!("rpm --install kernel.rpm {old}"));
    assert_eq!((version().as_str(), system.loaded("cifs_fix")), ("0.1.0", file.clone()));
    system.sh(&format!("rpm --verify {name}"));
    let installed = system.everything();
    system.sh(&format!("rpm --upgrade {new}"));
    assert_eq!((version().as_str(), system.loaded("cifs_fix")), ("0.2.0", file.clone()));
    system.sh(&format!("rpm --upgrade --oldpackage {old}"));
    assert_eq!((version().as_str(), system.loaded("cifs_fix")), ("0.1.0", file));
    assert_eq!(system.everything(), installed);
    system.sh(&format!("rpm --erase {name}"));
    assert_eq!(system.everything(), before, "something is left");
    // depmod passes over the module, and says nothing of it.
    system.sh("echo 'exclude extra' > /etc/depmod.d/exclude.conf");
    let output = system.finish(&format!("rpm --install {old} 2>&1"));
    let said = format!("warning: /lib/modules/{release}/extra/cifs-fix/cifs_fix.ko: depmod did not index it");
    assert!(output.status.success() && output.text().contains(&said), "{}{}", output.text(), output.tail);
}

fn replaced(suite: &Suite) {
    let made = rebuild(suite);
    let release = &made.release;
    let system = System::new(suite, release);
    let package = system.put(&made.package("kmod-cifs"));
    let before = (system.everything(), system.loaded("cifs"));
    assert!(before.1.contains("/kernel/fs/smb/client/cifs.ko"), "{}", before.1);
    system.sh(&format!("rpm --install kernel.rpm {package}"));
    assert_eq!(system.loaded("cifs"), format!("/lib/modules/{release}/extra/cifs/cifs.ko"));
    // As weak-modules would have it in another kernel: the link comes before the stock module, too.
    system.sh(&format!(
        "cd /lib/modules/{release}; mv extra kept; mkdir -p weak-updates/cifs
         ln -s /lib/modules/{release}/kept/cifs/cifs.ko weak-updates/cifs/cifs.ko; depmod {release}"
    ));
    assert!(system.loaded("cifs").contains("/weak-updates/cifs/cifs.ko"), "{}", system.loaded("cifs"));
    system.sh(&format!("cd /lib/modules/{release}; rm -r weak-updates; mv kept extra; depmod {release}"));
    system.sh(&format!("rpm --erase kmod-cifs{}", KmodTarget::of(release).suffix()));
    assert_eq!((system.everything(), system.loaded("cifs")), before);
}

fn another_crc(suite: &Suite) {
    let made = rebuild(suite);
    let system = System::new(suite, &made.release);
    let package = system.put(&made.package("kmod-cifs"));
    let kdir = Kdir::open(&suite.context().cache, &made.release).unwrap();
    let other = |symbol: &str, crc: Crc| if symbol == "register_filesystem" { Crc(crc.0 ^ 1) } else { crc };
    kernel_package(&kdir, other).write_file(system.files.join("other.rpm")).unwrap();
    let refused = system.finish(&format!("rpm --install other.rpm {package}"));
    assert!(!refused.status.success(), "{}", refused.tail);
    assert!(refused.tail.contains("kernel(register_filesystem) = 0x"), "{}", refused.tail);
    let needed = refused.tail.lines().filter(|line| line.contains("is needed by")).count();
    assert_eq!(needed, 1, "{}", refused.tail);
    system.sh(&format!("rpm --install --test kernel.rpm {package}"));
}

fn dnf(suite: &Suite) {
    let release = suite.prepared().kdir.release();
    let system = System::new(suite, release);
    system.put(&guard(suite).package("kmod-cifs-fix"));
    let before = system.everything();
    system.sh("createrepo_c --quiet .");
    let dnf = "dnf --assumeyes --releasever=1 --setopt=reposdir=/nowhere --repofrompath=local,file://$PWD --setopt=local.gpgcheck=0";
    system.sh(&format!("{dnf} install kmod-cifs-fix"));
    let name = format!("kmod-cifs-fix{}", KmodTarget::of(release).suffix());
    // The kernel came along: it has what the module requires.
    system.sh(&format!("rpm --query {name} kernel-core"));
    assert!(system.loaded("cifs_fix").ends_with("/extra/cifs-fix/cifs_fix.ko"));
    system.sh(&format!("{dnf} remove {name}"));
    assert!(!system.finish(&format!("rpm --query {name}")).status.success());
    assert_eq!(system.everything(), before);
}
